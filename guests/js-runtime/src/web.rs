//! The native half of the web globals: text, randomness, clocks, addresses. Their classes are in
//! src/js.

use crate::bindings::eddy::platform::context;
use crate::{convert, platform};
use rquickjs::{Ctx, Exception, Function, Object, Result, TypedArray};
use std::cell::Cell;
use std::time::Instant;
use url::{Url, form_urlencoded, quirks};

thread_local! {
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// State of `Math.random`; none until the turn first asks for a number.
    static RANDOM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Puts the functions where the prelude finds them.
pub fn install(host: &Object<'_>) -> Result<()> {
    let ctx = host.ctx();
    host.set("utf8Encode", Function::new(ctx.clone(), utf8_encode)?)?;
    host.set("utf8Decode", Function::new(ctx.clone(), utf8_decode)?)?;
    host.set("utf8Tail", Function::new(ctx.clone(), utf8_tail)?)?;
    host.set("randomBytes", Function::new(ctx.clone(), random_bytes)?)?;
    host.set(
        "mathRandom",
        Function::new(ctx.clone(), math_random)?.with_name("random")?,
    )?;
    host.set(
        "performanceNow",
        Function::new(ctx.clone(), monotonic)?.with_name("now")?,
    )?;
    host.set("formParse", Function::new(ctx.clone(), form_parse)?)?;
    host.set("formSerialize", Function::new(ctx.clone(), form_serialize)?)?;
    host.set("urlParse", Function::new(ctx.clone(), url_parse)?)?;
    host.set("urlSet", Function::new(ctx.clone(), url_set)?)
}

/// Milliseconds since the instance first asked. Nothing of the snapshot's making may show, nor when
/// the instance was made; and asking at the start would cost those who never ask.
pub fn monotonic() -> f64 {
    let started = STARTED.get().unwrap_or_else(|| {
        let now = now();
        STARTED.set(Some(now));
        now
    });
    now().saturating_duration_since(started).as_secs_f64() * 1000.0
}

#[allow(
    clippy::disallowed_methods,
    reason = "the guest's clock is the one its host gives it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Makes `Math.random` ask the node for a new seed.
pub fn forget_seed() {
    RANDOM.set(None);
}

/// SplitMix64, seeded by the node once per turn: cheap, and the same when a turn runs again with the
/// same random numbers.
fn math_random() -> f64 {
    let state = RANDOM
        .get()
        .unwrap_or_else(context::random)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(Some(state));
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    platform::unit(mixed ^ (mixed >> 31))
}

fn random_bytes(ctx: Ctx<'_>, length: usize) -> Result<TypedArray<'_, u8>> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)
        .map_err(|error| Exception::throw_message(&ctx, &format!("no randomness: {error}")))?;
    TypedArray::new_copy(ctx, bytes)
}

fn utf8_encode(ctx: Ctx<'_>, text: String) -> Result<TypedArray<'_, u8>> {
    TypedArray::new_copy(ctx, text)
}

fn utf8_decode(bytes: TypedArray<'_, u8>, fatal: bool) -> Option<String> {
    match String::from_utf8(convert::copy(&bytes)?) {
        Ok(text) => Some(text),
        Err(_) if fatal => None,
        Err(error) => Some(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// How many bytes at the end begin a character that the next chunk may complete.
fn utf8_tail(bytes: TypedArray<'_, u8>) -> usize {
    let bytes = convert::copy(&bytes).unwrap_or_default();
    let start = bytes.len().saturating_sub(3);
    (start..bytes.len())
        .find(|&at| {
            matches!(std::str::from_utf8(&bytes[at..]), Err(error)
                if error.error_len().is_none() && error.valid_up_to() == 0)
        })
        .map_or(0, |at| bytes.len() - at)
}

fn form_parse(query: String) -> Vec<String> {
    let query = query.strip_prefix('?').unwrap_or(&query);
    form_urlencoded::parse(query.as_bytes())
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()])
        .collect()
}

fn form_serialize(flat: Vec<String>) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for pair in flat.chunks_exact(2) {
        text.append_pair(&pair[0], &pair[1]);
    }
    text.finish()
}

fn url_parse(input: String, base: rquickjs::function::Opt<Option<String>>) -> Option<Vec<String>> {
    let base = match base.0.flatten() {
        Some(base) => Some(Url::parse(&base).ok()?),
        None => None,
    };
    Url::options()
        .base_url(base.as_ref())
        .parse(&input)
        .ok()
        .map(|url| parts(&url))
}

/// The address with one part replaced; none when that part refuses the value.
fn url_set(href: String, part: String, value: String) -> Option<Vec<String>> {
    let mut url = Url::parse(&href).ok()?;
    match part.as_str() {
        "href" => quirks::set_href(&mut url, &value).ok()?,
        "protocol" => quirks::set_protocol(&mut url, &value).ok()?,
        "username" => quirks::set_username(&mut url, &value).ok()?,
        "password" => quirks::set_password(&mut url, &value).ok()?,
        "host" => quirks::set_host(&mut url, &value).ok()?,
        "hostname" => quirks::set_hostname(&mut url, &value).ok()?,
        "port" => quirks::set_port(&mut url, &value).ok()?,
        "pathname" => quirks::set_pathname(&mut url, &value),
        "search" => quirks::set_search(&mut url, &value),
        "hash" => quirks::set_hash(&mut url, &value),
        _ => return None,
    }
    Some(parts(&url))
}

/// In the order of `PARTS` in url.js.
fn parts(url: &Url) -> Vec<String> {
    [
        quirks::href(url),
        &quirks::origin(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ]
    .map(str::to_owned)
    .to_vec()
}
