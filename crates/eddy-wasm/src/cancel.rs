//! How the caller stops a turn from outside: a flag that a running guest sees at the next tick and
//! a waiting guest at once. When to raise it is the caller's business.

use futures::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

/// Why a turn is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its deadline passed.
    Timeout,
    /// The node stops, moves or replaces it and its grace has ended.
    Abort,
}

/// Stops one turn. Cheap to clone; clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    reason: AtomicU8,
    waker: AtomicWaker,
}

const TIMEOUT: u8 = 1;
const ABORT: u8 = 2;

impl CancelToken {
    /// A token nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the turn to stop. The first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let code = match reason {
            CancelReason::Timeout => TIMEOUT,
            CancelReason::Abort => ABORT,
        };
        // The waker is taken after the flag is set, and the turn looks at the flag after it has
        // registered its waker: one of the two sees the other.
        let _ = self
            .0
            .reason
            .compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        self.0.waker.wake();
    }

    /// The reason, once it was asked to stop.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        match self.0.reason.load(Ordering::SeqCst) {
            TIMEOUT => Some(CancelReason::Timeout),
            ABORT => Some(CancelReason::Abort),
            _ => None,
        }
    }

    /// Wakes `waker` when the token is raised. One turn per token.
    pub(crate) fn register(&self, waker: &Waker) {
        self.0.waker.register(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let token = CancelToken::new();
        assert_eq!(token.reason(), None);
        token.clone().cancel(CancelReason::Abort);
        token.cancel(CancelReason::Timeout);
        assert_eq!(token.reason(), Some(CancelReason::Abort));
    }
}
