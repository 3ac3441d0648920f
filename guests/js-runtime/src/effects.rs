//! Immediate effects of the running turn: started on the node at once, waited for together. Each
//! has a number, by which JavaScript cancels it. The loop that waits is in `turn`.

use crate::bindings::eddy::platform::effects::{self as node, HttpRequest, Outcome, Pending};
use crate::bindings::eddy::platform::types::Failure;
use crate::engine::{self, Held};
use crate::{convert, web};
use rquickjs::{Array, Ctx, Error, Function, Object, Persistent, Result, TypedArray, Value};
use std::cell::RefCell;
use std::collections::VecDeque;

struct Waiting {
    id: u32,
    pending: Pending,
    resolve: Held,
    reject: Option<Held>,
    timer: Option<Timer>,
}

#[derive(Clone, Copy)]
struct Timer {
    /// When it is due, so that timers that are late together fire in their order.
    due: f64,
    milliseconds: f64,
    repeat: bool,
}

#[derive(Default)]
struct Table {
    waiting: Vec<Waiting>,
    ready: VecDeque<Ready>,
    last: u32,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Puts the functions where the prelude finds them.
pub fn install(host: &Object<'_>) -> Result<()> {
    let ctx = host.ctx();
    host.set("startCall", Function::new(ctx.clone(), start_call)?)?;
    host.set("startInvoke", Function::new(ctx.clone(), start_invoke)?)?;
    host.set("startFetch", Function::new(ctx.clone(), start_fetch)?)?;
    host.set("startTimer", Function::new(ctx.clone(), start_timer)?)?;
    host.set("cancel", Function::new(ctx.clone(), cancel)?)
}

/// Drops everything under way, which cancels it.
pub fn clear() {
    let gone = TABLE.with_borrow_mut(|table| {
        (
            std::mem::take(&mut table.waiting),
            std::mem::take(&mut table.ready),
        )
    });
    drop(gone);
}

/// Whether nothing is under way.
pub fn is_empty() -> bool {
    TABLE.with_borrow(|table| table.waiting.is_empty() && table.ready.is_empty())
}

/// The next that came to its end. Blocks when none has yet.
pub fn next() -> std::result::Result<Option<Ready>, Failure> {
    TABLE.with_borrow_mut(|table| {
        if table.ready.is_empty() {
            table.wait()?;
        }
        Ok(table.ready.pop_front())
    })
}

impl Table {
    /// Blocks until something is ready and takes what is, timers last and in order of their time.
    fn wait(&mut self) -> std::result::Result<(), Failure> {
        let pendings: Vec<&Pending> = self.waiting.iter().map(|one| &one.pending).collect();
        let mut positions = node::wait(&pendings)?;
        positions.sort_unstable();
        // From the back, so that removing one leaves the positions before it as they are.
        for position in positions.into_iter().rev() {
            let position = position as usize;
            let outcome = self
                .waiting
                .get(position)
                .and_then(|one| one.pending.take());
            if let Some(outcome) = outcome {
                let Waiting {
                    id,
                    resolve,
                    reject,
                    timer,
                    ..
                } = self.waiting.remove(position);
                self.ready.push_front(Ready {
                    id,
                    outcome,
                    resolve,
                    reject,
                    timer,
                });
            }
        }
        self.ready
            .make_contiguous()
            .sort_by(|a, b| a.due().total_cmp(&b.due()));
        Ok(())
    }
}

/// Something that came to its end.
pub struct Ready {
    id: u32,
    outcome: std::result::Result<Outcome, Failure>,
    resolve: Held,
    reject: Option<Held>,
    timer: Option<Timer>,
}

impl Ready {
    fn due(&self) -> f64 {
        self.timer.map_or(f64::NEG_INFINITY, |timer| timer.due)
    }

    /// Tells JavaScript. An exception is a timer callback's own.
    pub fn settle(self, ctx: &Ctx<'_>) -> Result<()> {
        if let Some(timer) = self.timer.filter(|timer| timer.repeat) {
            add_timer(
                ctx,
                Some(self.id),
                timer.milliseconds,
                true,
                self.resolve.clone(),
            )?;
        }
        let Self {
            outcome,
            resolve,
            reject,
            ..
        } = self;
        let told = match outcome {
            Ok(outcome) => tell(ctx, &resolve, outcome),
            Err(failure) => {
                let error = convert::to_error(ctx, failure)?;
                Err(ctx.throw(error))
            }
        };
        match (told, reject) {
            // Whoever waits for it is told, also of what the program could not be handed.
            (Err(Error::Exception), Some(reject)) => {
                engine::function(ctx, &reject)?.call((ctx.catch(),))
            }
            (told, _) => told,
        }
    }
}

fn tell(ctx: &Ctx<'_>, resolve: &Held, outcome: Outcome) -> Result<()> {
    let resolve = engine::function(ctx, resolve)?;
    match outcome {
        Outcome::Elapsed => resolve.call(()),
        Outcome::Json(json) => resolve.call((ctx.json_parse(json)?,)),
        Outcome::Http(response) => {
            let headers = Array::new(ctx.clone())?;
            for (index, (name, value)) in response.headers.into_iter().enumerate() {
                headers.set(index * 2, name)?;
                headers.set(index * 2 + 1, value)?;
            }
            let body = TypedArray::<u8>::new_copy(ctx.clone(), response.body)?;
            resolve.call((response.status, headers, body))
        }
    }
}

fn add(waiting: Waiting) -> u32 {
    TABLE.with_borrow_mut(|table| {
        let id = waiting.id;
        table.waiting.push(waiting);
        id
    })
}

fn next_id() -> u32 {
    TABLE.with_borrow_mut(|table| {
        table.last = table.last.wrapping_add(1);
        table.last
    })
}

fn start<'js>(
    ctx: &Ctx<'js>,
    pending: std::result::Result<Pending, Failure>,
    resolve: Function<'js>,
    reject: Function<'js>,
) -> Result<u32> {
    let pending = pending.map_err(|failure| convert::throw(ctx, failure))?;
    let resolve = Persistent::save(ctx, resolve);
    let reject = Some(Persistent::save(ctx, reject));
    Ok(add(Waiting {
        id: next_id(),
        pending,
        resolve,
        reject,
        timer: None,
    }))
}

fn start_call<'js>(
    ctx: Ctx<'js>,
    agent: String,
    key: String,
    method: String,
    argument: Value<'js>,
    resolve: Function<'js>,
    reject: Function<'js>,
) -> Result<u32> {
    let argument = convert::payload(&ctx, argument)?;
    start(
        &ctx,
        node::call(&agent, &key, &method, &argument),
        resolve,
        reject,
    )
}

fn start_invoke<'js>(
    ctx: Ctx<'js>,
    function: String,
    argument: Value<'js>,
    resolve: Function<'js>,
    reject: Function<'js>,
) -> Result<u32> {
    let argument = convert::payload(&ctx, argument)?;
    start(&ctx, node::invoke(&function, &argument), resolve, reject)
}

fn start_fetch<'js>(
    ctx: Ctx<'js>,
    method: String,
    url: String,
    headers: Vec<String>,
    body: Value<'js>,
    resolve: Function<'js>,
    reject: Function<'js>,
) -> Result<u32> {
    let mut pairs = Vec::with_capacity(headers.len() / 2);
    let mut rest = headers.into_iter();
    while let (Some(name), Some(value)) = (rest.next(), rest.next()) {
        pairs.push((name, value));
    }
    let request = HttpRequest {
        method,
        url,
        headers: pairs,
        body: convert::bytes(&body),
    };
    start(&ctx, node::fetch(&request), resolve, reject)
}

fn start_timer<'js>(
    ctx: Ctx<'js>,
    milliseconds: f64,
    repeat: bool,
    callback: Function<'js>,
) -> Result<u32> {
    let callback = Persistent::save(&ctx, callback);
    add_timer(&ctx, None, milliseconds, repeat, callback)
}

fn add_timer(
    ctx: &Ctx<'_>,
    id: Option<u32>,
    milliseconds: f64,
    repeat: bool,
    resolve: Held,
) -> Result<u32> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "web.js bounds it"
    )]
    let sleep = node::sleep(milliseconds as u64);
    let pending = sleep.map_err(|failure| convert::throw(ctx, failure))?;
    let timer = Timer {
        due: web::monotonic() + milliseconds,
        milliseconds,
        repeat,
    };
    let id = id.unwrap_or_else(next_id);
    Ok(add(Waiting {
        id,
        pending,
        resolve,
        reject: None,
        timer: Some(timer),
    }))
}

fn cancel(id: u32) {
    let gone = TABLE.with_borrow_mut(|table| {
        table.ready.retain(|one| one.id != id);
        let position = table.waiting.iter().position(|one| one.id == id)?;
        Some(table.waiting.remove(position))
    });
    drop(gone);
}
