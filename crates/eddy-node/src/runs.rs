//! Where a turn begins: on the thread that decided it, at once. Most turns end within microseconds,
//! and handing one to another task or thread would cost more than the turn itself. One that waits or
//! computes for longer goes on as a task of its own.
//!
//! What a turn takes is not here: see `turns.rs`.

use crate::clock;
use crate::inner::Inner;
use crate::{runners, turns};
use eddy_core::TurnStart;
use eddy_journal::Urgency;
use eddy_types::{EddyError, TenantId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Calls nested on one thread's stack; the next one becomes a task.
const MAX_NESTED: u32 = 8;
/// Turns that wait on one thread until the one before them ends.
const MAX_QUEUED: usize = 64;
/// How long one thread runs turns one after the other before the rest become tasks: whoever called
/// has other work waiting.
const BUDGET: Duration = Duration::from_micros(500);

/// Runs `work`; the records that its turns append on this thread are held until then. `release` is
/// called if there are some, even when `work` panics.
pub(crate) fn gather(work: impl FnOnce(), release: impl Fn()) {
    struct Gathering<F: Fn()>(F);
    impl<F: Fn()> Drop for Gathering<F> {
        fn drop(&mut self) {
            if HERE.with(|here| here.holds.take()) == Some(true) {
                (self.0)();
            }
        }
    }
    let _budget = budget();
    HERE.with(|here| here.holds.set(Some(false)));
    let _gathering = Gathering(release);
    work();
}

/// While this lives, the turns that begin on this thread share one budget, from the outermost of
/// these on.
pub(crate) struct Budget {
    outermost: bool,
}

pub(crate) fn budget() -> Budget {
    let outermost = HERE.with(|here| {
        let outermost = here.since.get().is_none();
        if outermost {
            here.since.set(Some(clock::instant()));
        }
        outermost
    });
    Budget { outermost }
}

impl Drop for Budget {
    fn drop(&mut self) {
        if self.outermost {
            HERE.with(|here| here.since.set(None));
        }
    }
}

/// Whether work may begin on this thread: others have not waited for too long, its stack is not too deep, and no
/// other tenant wants something, unless it is part of what runs.
pub(crate) fn may_begin(inner: &Inner, tenant: &TenantId) -> bool {
    HERE.with(|here| here.may_begin(inner, tenant))
}

/// How urgent a record is that somebody waits for.
pub(crate) fn urgency() -> Urgency {
    HERE.with(|here| match here.holds.get() {
        Some(_) => {
            here.holds.set(Some(true));
            Urgency::Held
        }
        None => Urgency::Now,
    })
}

thread_local! {
    static HERE: Here = const {
        Here {
            running: Cell::new(false),
            nested: Cell::new(0),
            holds: Cell::new(None),
            since: Cell::new(None),
            queue: RefCell::new(VecDeque::new()),
        }
    };
}

/// What this thread runs.
struct Here {
    /// A turn runs on this thread, outside of any guest: what is decided now waits in the queue.
    running: Cell<bool>,
    /// Guests on this thread's stack.
    nested: Cell<u32>,
    /// Whether records are held back on this thread, and whether there are some.
    holds: Cell<Option<bool>>,
    /// When the outermost [`Budget`] of this thread began.
    since: Cell<Option<Instant>>,
    queue: RefCell<VecDeque<(Arc<Inner>, TurnStart)>>,
}

/// Runs a turn here and now, or as soon as the one that this thread is about to end is over.
pub(crate) fn run(inner: &Arc<Inner>, start: TurnStart) {
    let start = match HERE.with(|here| here.queue_up(inner, start)) {
        Place::Queued => return,
        Place::Elsewhere(start) => return runners::turn(inner, start),
        Place::Here(start) => start,
    };
    // The journal's thread and others that no task runs on must not be held up.
    if tokio::task::try_id().is_none() {
        return runners::turn(inner, start);
    }
    let _running = Running::begin();
    to_the_end(inner, start);
    while let Some((inner, start)) = HERE.with(|here| here.queue.borrow_mut().pop_front()) {
        if HERE.with(Here::is_late) {
            runners::turn(&inner, start);
        } else {
            to_the_end(&inner, start);
        }
    }
}

/// A panic outside of a guest leaves a decision half carried out: the node stops rather than to go on
/// with that. Whoever waits on this thread goes on.
fn to_the_end(inner: &Arc<Inner>, start: TurnStart) {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| turns::run(inner, start)));
    if ran.is_err() {
        inner.fail(EddyError::internal("a turn broke the node's own code"));
    }
}

enum Place {
    Here(TurnStart),
    Queued,
    Elsewhere(TurnStart),
}

impl Here {
    /// What waits on this thread has waited long enough.
    fn is_late(&self) -> bool {
        let since = self.since.get();
        since.is_some_and(|since| since.elapsed() > BUDGET)
    }

    fn may_begin(&self, inner: &Inner, tenant: &TenantId) -> bool {
        let nested = self.nested.get();
        nested < MAX_NESTED && !self.is_late() && (nested > 0 || !inner.runners.shared(tenant))
    }

    fn queue_up(&self, inner: &Arc<Inner>, start: TurnStart) -> Place {
        if !self.may_begin(inner, start.agent.tenant()) {
            return Place::Elsewhere(start);
        }
        if !self.running.get() {
            return Place::Here(start);
        }
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= MAX_QUEUED {
            return Place::Elsewhere(start);
        }
        queue.push_back((inner.clone(), start));
        Place::Queued
    }
}

/// This thread ends turns itself while this lives.
struct Running;

impl Running {
    fn begin() -> Self {
        HERE.with(|here| here.running.set(true));
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        HERE.with(|here| here.running.set(false));
    }
}

/// Lets a guest run on this thread until it ends, waits, or has computed for a tick: the turns that
/// it causes run within it, one level deeper, and what waits outside waits on. What is not ready is to
/// be polled again by a task, at once: nothing here wakes it.
pub(crate) fn first_slice<T>(guest: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    let _outside = Outside::leave();
    guest.poll(&mut Context::from_waker(Waker::noop()))
}

/// What waited on this thread when a guest began.
struct Outside {
    running: bool,
    queue: VecDeque<(Arc<Inner>, TurnStart)>,
}

impl Outside {
    fn leave() -> Self {
        HERE.with(|here| {
            here.nested.set(here.nested.get() + 1);
            Self {
                running: here.running.replace(false),
                queue: std::mem::take(&mut here.queue.borrow_mut()),
            }
        })
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        HERE.with(|here| {
            here.nested.set(here.nested.get() - 1);
            here.running.set(self.running);
            *here.queue.borrow_mut() = std::mem::take(&mut self.queue);
        });
    }
}
