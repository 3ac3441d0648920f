//! Immediate effects of the running turn: what was started on the node, who waits for it, and [`Call`], the future
//! of one. The loop that waits is in `executor`.

use crate::bindings::eddy::platform::effects::{self as node, Outcome, Pending};
use crate::bindings::eddy::platform::types::Failure;
use crate::error::{EddyError, Result};
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

type Answer = std::result::Result<Outcome, Failure>;

struct Entry {
    id: u64,
    pending: Pending,
    answer: Option<Answer>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    last: u64,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Drops everything under way, which cancels it: the turn is over.
pub(crate) fn end_turn() {
    // Taken first: a waker that is dropped may drop further effects, which look into the table.
    let gone = TABLE.with_borrow_mut(|table| std::mem::take(&mut table.entries));
    drop(gone);
}

/// Blocks until something that somebody waits for is there, and wakes who waits.
pub(crate) fn wait() -> std::result::Result<(), Failure> {
    let wakers = TABLE.with_borrow_mut(Table::wait)?;
    wakers.into_iter().for_each(Waker::wake);
    Ok(())
}

impl Table {
    fn wait(&mut self) -> std::result::Result<Vec<Waker>, Failure> {
        let awaited = |entry: &&mut Entry| entry.answer.is_none() && entry.waker.is_some();
        let mut open: Vec<&mut Entry> = self.entries.iter_mut().filter(awaited).collect();
        if open.is_empty() {
            return Err(failure(
                "handler-stalled",
                "the handler waits for something that is neither a call, a fetch nor a sleep of its context",
            ));
        }
        let pendings: Vec<&Pending> = open.iter().map(|entry| &entry.pending).collect();
        let ready = node::wait(&pendings)?;
        let mut wakers = Vec::with_capacity(ready.len());
        for position in ready {
            if let Some(entry) = open.get_mut(position as usize) {
                entry.answer = entry.pending.take();
                wakers.extend(entry.waker.take());
            }
        }
        Ok(wakers)
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }
}

/// Something under way on the node. Dropping it cancels it.
struct Effect(u64);

impl Effect {
    fn new(pending: Pending) -> Self {
        TABLE.with_borrow_mut(|table| {
            table.last += 1;
            let id = table.last;
            table.entries.push(Entry {
                id,
                pending,
                answer: None,
                waker: None,
            });
            Self(id)
        })
    }

    fn poll(&self, waker: &Waker) -> Poll<Answer> {
        let (polled, old) = TABLE.with_borrow_mut(|table| {
            let Some(position) = table.position(self.0) else {
                let why = "this was started in an earlier turn and ended with it: await it before the handler returns";
                return (Poll::Ready(Err(failure("context-closed", why))), None);
            };
            let entry = &mut table.entries[position];
            match entry.answer.take() {
                Some(answer) => (Poll::Ready(answer), entry.waker.take()),
                None => (Poll::Pending, entry.waker.replace(waker.clone())),
            }
        });
        // Outside of the table, for dropping a waker may drop further effects.
        drop(old);
        polled
    }
}

impl Drop for Effect {
    fn drop(&mut self) {
        let gone = TABLE.with_borrow_mut(|table| {
            let position = table.position(self.0)?;
            Some(table.entries.swap_remove(position))
        });
        drop(gone);
    }
}

/// A failure of the SDK itself.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.into(),
        stack: None,
        status: None,
        details: None,
    }
}

/// A call, an invocation, a fetch or a sleep: under way since it was started, ended by its result, cancelled when it
/// is dropped. It does not outlive its turn.
#[must_use = "await it: what is dropped is cancelled"]
pub struct Call<T> {
    at: At,
    read: fn(Outcome) -> Result<T>,
    place: &'static Location<'static>,
}

enum At {
    Refused(EddyError),
    Running(Effect),
    Ended,
}

impl<T> Call<T> {
    pub(crate) fn new(
        started: Result<std::result::Result<Pending, Failure>>,
        read: fn(Outcome) -> Result<T>,
        place: &'static Location<'static>,
    ) -> Self {
        let at = match started {
            Ok(Ok(pending)) => At::Running(Effect::new(pending)),
            Ok(Err(failure)) => At::Refused(EddyError::of_node(failure, place)),
            Err(error) => At::Refused(error),
        };
        Self { at, read, place }
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.get_mut();
        let answer = match std::mem::replace(&mut this.at, At::Ended) {
            At::Refused(error) => return Poll::Ready(Err(error)),
            At::Running(effect) => match effect.poll(cx.waker()) {
                Poll::Ready(answer) => answer,
                Poll::Pending => {
                    this.at = At::Running(effect);
                    return Poll::Pending;
                }
            },
            At::Ended => Err(failure("internal", "polled after it had ended")),
        };
        Poll::Ready(match answer {
            Ok(outcome) => (this.read)(outcome),
            Err(failure) => Err(EddyError::of_node(failure, this.place)),
        })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = match &self.at {
            At::Refused(_) => "refused",
            At::Running(_) => "under way",
            At::Ended => "ended",
        };
        write!(f, "Call({at})")
    }
}

/// The result of a call or an invocation.
pub(crate) fn read_json<T: DeserializeOwned>(outcome: Outcome) -> Result<T> {
    match outcome {
        Outcome::Json(json) => from_json(&json, "the result of the call"),
        Outcome::Http(_) | Outcome::Elapsed => Err(unexpected()),
    }
}

/// The end of a sleep.
pub(crate) fn read_elapsed(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Elapsed => Ok(()),
        Outcome::Json(_) | Outcome::Http(_) => Err(unexpected()),
    }
}

pub(crate) fn unexpected() -> EddyError {
    EddyError::new(
        "internal",
        "the node answered with something else than was asked for",
    )
}

/// Reads JSON as `T`; `unexpected-json` when it does not fit.
pub(crate) fn from_json<T: DeserializeOwned>(json: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let wanted = std::any::type_name::<T>();
        EddyError::new(
            "unexpected-json",
            format!("{what} is not a {wanted}: {error}"),
        )
    })
}
