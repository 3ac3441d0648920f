//! Outbound HTTP for guests: only to hosts that the manifest allows, redirects included.

mod grant;
mod places;
mod resolve;
mod room;

use crate::catalog::App;
use crate::inner::Inner;
use eddy_types::limits::{MAX_FETCH_BODY_BYTES, MAX_FETCH_HEADERS_BYTES, MAX_FETCH_URL_BYTES};
use eddy_types::{Capabilities, EddyError, ErrorCode};
use eddy_wasm::{HttpRequest, HttpResponse};
pub(crate) use grant::Reach;
use grant::not_granted;
use places::Place;
pub(crate) use places::Places;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url, redirect};
use resolve::{Guarded, Refused};
use room::Part;
pub(crate) use room::Room;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const MAX_REDIRECTS: usize = 10;
/// What a header takes besides its name and its value, as HTTP/2 counts.
const HEADER_BYTES: usize = 32;
/// How long a connection is kept that nobody uses. It is an open file that counts for no request.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);
/// Connections to one host that are kept so.
const IDLE_CONNECTIONS: usize = 32;

/// Headers that say where a request goes, where it ends, or what holds for one connection only.
/// They are the client's: from a guest they could make the other side see another request.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether an app may reach a URL. `host` allows the default port of http and https, `host:port`
/// that port, `*.domain` every host below the domain. An address is allowed by itself only.
fn allows(capabilities: &Capabilities, url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    let default_port = matches!((url.scheme(), port), ("http", 80) | ("https", 443));
    let is_name = url.domain().is_some();
    capabilities.hosts.iter().any(|allowed| {
        let (name, port_fits) = match allowed.rsplit_once(':') {
            Some((name, wanted)) if !wanted.ends_with(']') => (name, wanted.parse() == Ok(port)),
            _ => (allowed.as_str(), default_port),
        };
        let name_fits = match name.strip_prefix("*.") {
            Some(domain) => {
                let below = host.strip_suffix(domain);
                is_name && below.is_some_and(|rest| rest.ends_with('.'))
            }
            None => host.eq_ignore_ascii_case(name),
        };
        name_fits && port_fits
    })
}

impl Reach {
    /// Whether a request may go to `url`.
    pub(crate) fn check(&self, url: &Url) -> Result<(), EddyError> {
        if !allows(&self.capabilities, url) {
            return Err(denied(url));
        }
        if !self.account.grant().covers(url) {
            return Err(not_granted(&host_and_port(url)));
        }
        Ok(())
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn denied(url: &Url) -> EddyError {
    let shown = host_and_port(url);
    EddyError::new(
        ErrorCode::CapabilityDenied,
        format!("the app may not reach {shown}"),
    )
    .hint(format!(
        "Add {shown:?} to `hosts` under `[capabilities]` in eddy.toml."
    ))
}

/// What becomes of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// It is followed, where the app may go.
    Follow,
    /// It is the answer.
    Tell,
}

/// A client that follows redirects only where the app may go, and connects only to addresses that
/// a name may stand for.
pub(crate) fn client(reach: &Reach, redirects: Redirects) -> Result<Client, EddyError> {
    client_with(reach, redirects, Guarded::of(reach.account.clone()))
}

fn client_with(reach: &Reach, redirects: Redirects, names: Guarded) -> Result<Client, EddyError> {
    // Another part of the process may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let reach = reach.clone();
    let follow = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if let Err(refused) = reach.check(attempt.url()) {
            attempt.error(Redirected(refused))
        } else {
            attempt.follow()
        }
    });
    let policy = match redirects {
        Redirects::Follow => follow,
        Redirects::Tell => redirect::Policy::none(),
    };
    Client::builder()
        .redirect(policy)
        .dns_resolver(Arc::new(names))
        .no_proxy()
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build()
        .map_err(|error| EddyError::internal(format!("no HTTP client can be made: {error}")))
}

/// Checks a guest's request before anything is sent, and takes what it needs until it is over.
pub(crate) fn check(
    inner: &Arc<Inner>,
    app: &App,
    room: &Room,
    request: HttpRequest,
) -> Result<Checked, EddyError> {
    let mut part = room.part(&app.account, Arc::downgrade(inner));
    let address = request.url.len();
    let request = check_for(&app.reach, request)?;
    let body = request.body().and_then(reqwest::Body::as_bytes);
    part.grow(address + size_of(request.headers()) + body.map_or(0, <[u8]>::len))?;
    let place = app.account.places.request()?;
    Ok(Checked {
        request,
        part,
        place,
    })
}

/// What headers take, in bytes.
fn size_of(headers: &HeaderMap) -> usize {
    let sizes = headers.iter();
    sizes
        .map(|(name, value)| header_size(name.as_str(), value.as_bytes()))
        .sum()
}

fn header_size(name: &str, value: &[u8]) -> usize {
    name.len() + value.len() + HEADER_BYTES
}

fn check_for(reach: &Reach, request: HttpRequest) -> Result<Request, EddyError> {
    check_sizes(&request)?;
    // The address itself may hold secrets, and errors are shown and kept.
    let url = Url::parse(&request.url)
        .map_err(|why| bad(format!("the address of a fetch is not a URL: {why}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!(
            "fetch knows http and https, not {:?}",
            url.scheme()
        )));
    }
    reach.check(&url)?;
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| bad(format!("{:?} is not an HTTP method", request.method)))?;
    let mut checked = Request::new(method, url);
    for (name, value) in &request.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        let (name, value) =
            header.ok_or_else(|| bad(format!("the header {name:?} is malformed")))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(bad(format!("a fetch may not set the header {name:?}"))
                .hint("Leave it out: it follows from the address and the body."));
        }
        let added = checked.headers_mut().try_append(name, value);
        added.map_err(|_| bad("a fetch has too many headers".to_owned()))?;
    }
    *checked.body_mut() = request.body.map(reqwest::Body::from);
    Ok(checked)
}

fn bad(what: String) -> EddyError {
    EddyError::new(ErrorCode::InvalidArgument, what)
}

/// Looked at before anything is parsed: a guest may hand over 16 MiB at once.
fn check_sizes(request: &HttpRequest) -> Result<(), EddyError> {
    let refused = |what: &str, bytes: usize, most: usize| {
        bad(format!(
            "a fetch may have {most} bytes of {what}, not {bytes}"
        ))
        .hint("Send what is large as the body.")
    };
    let bytes = request.url.len() + request.method.len();
    if bytes > MAX_FETCH_URL_BYTES {
        return Err(refused("address", bytes, MAX_FETCH_URL_BYTES));
    }
    let headers = request.headers.iter();
    let sizes = headers.map(|(name, value)| header_size(name, value.as_bytes()));
    let bytes = sizes.sum();
    if bytes > MAX_FETCH_HEADERS_BYTES {
        return Err(refused("headers", bytes, MAX_FETCH_HEADERS_BYTES));
    }
    Ok(())
}

/// A request that was checked, its part of what its turn may hold, and its place among all of them.
pub(crate) struct Checked {
    request: Request,
    part: Part,
    place: Place,
}

/// Makes the request. `key` names the effect when its turn may run again: the other side can tell a
/// repetition by it.
pub(crate) async fn run(
    app: &App,
    Checked {
        mut request,
        part,
        place: _place,
    }: Checked,
    key: Option<String>,
    deadline: Instant,
) -> Result<HttpResponse, EddyError> {
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if let Some(key) = key
        && !safe
        && let Ok(value) = HeaderValue::from_str(&key)
    {
        request
            .headers_mut()
            .entry("idempotency-key")
            .or_insert(value);
    }
    let url = request.url().clone();
    let client = app.client(Redirects::Follow)?;
    let work = async {
        let response = client
            .execute(request)
            .await
            .map_err(|error| failed(&url, &error))?;
        read(&url, response, part).await
    };
    tokio::time::timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| {
            Err(EddyError::new(
                ErrorCode::DeadlineExceeded,
                format!(
                    "{} did not answer before the deadline",
                    url.host_str().unwrap_or("?")
                ),
            ))
        })
}

async fn read(
    url: &Url,
    mut response: Response,
    mut part: Part,
) -> Result<HttpResponse, EddyError> {
    let status = response.status().as_u16();
    part.grow(size_of(response.headers()))?;
    let headers = response.headers().iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    let headers = headers.collect();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failed(url, &error))?
    {
        if body.len() + chunk.len() > MAX_FETCH_BODY_BYTES {
            return Err(EddyError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "the answer of {} is larger than {MAX_FETCH_BODY_BYTES} bytes",
                    url.host_str().unwrap_or("?")
                ),
            ));
        }
        part.grow(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse {
        status,
        headers,
        body: part.holding(body),
    })
}

/// A redirect leads where the app may not go.
#[derive(Debug)]
struct Redirected(EddyError);

impl std::fmt::Display for Redirected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a redirect leads elsewhere: {}", self.0.detail)
    }
}

impl std::error::Error for Redirected {}

/// What the app is told when the host of a request leads to an address that it may not reach.
pub(crate) fn refused(error: &reqwest::Error) -> Option<EddyError> {
    let first: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut causes = std::iter::successors(first, |&error| error.source());
    let found = causes.find_map(|cause| cause.downcast_ref::<Refused>());
    found.map(Refused::error)
}

fn failed(url: &Url, error: &reqwest::Error) -> EddyError {
    if let Some(refused) = refused(error) {
        return refused;
    }
    let mut why = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(redirected) = cause.downcast_ref::<Redirected>() {
            let detail = redirected.to_string();
            return EddyError {
                detail,
                ..redirected.0.clone()
            };
        }
        why = format!(": {cause}");
        source = cause.source();
    }
    let host = url.host_str().unwrap_or("?");
    EddyError::new(
        ErrorCode::FetchFailed,
        format!("the request to {host} failed{why}"),
    )
}

#[cfg(test)]
mod tests;
