//! The immediate effects of one turn: at most [`limits::MAX_PENDING_PER_TURN`] at a time, polled
//! in the guest's own task, only while it waits for them. They end with the turn.

use crate::host::{Outcome, PendingFuture};
use eddy_types::{EddyError, ErrorCode, limits};
use std::task::{Context, Poll};

/// What a guest's handle of a pending effect stands for.
#[derive(Debug)]
pub struct PendingHandle;

/// Slots fit the low bits of a handle; the rest tells turns apart, so that a handle kept from an
/// earlier turn is known as such.
const SLOT_BITS: u32 = 8;
const _: () = assert!(limits::MAX_PENDING_PER_TURN <= 1 << SLOT_BITS);

enum Slot {
    Free,
    Running(PendingFuture),
    Done(Result<Outcome, EddyError>),
    Taken,
}

/// The effects of the running turn.
#[derive(Default)]
pub(crate) struct Pendings {
    turn: u32,
    slots: Vec<Slot>,
}

impl Pendings {
    /// Drops everything under way: the turn is over.
    pub(crate) fn end_turn(&mut self) {
        self.slots.clear();
        self.turn = self.turn.wrapping_add(1) & (u32::MAX >> SLOT_BITS);
    }

    /// Says whether another effect may start.
    pub(crate) fn check_room(&self) -> Result<(), EddyError> {
        let full = self.slots.len() >= limits::MAX_PENDING_PER_TURN
            && !self.slots.iter().any(|slot| matches!(slot, Slot::Free));
        if !full {
            return Ok(());
        }
        Err(EddyError::new(
            ErrorCode::LimitExceeded,
            format!(
                "a turn may have {} calls, fetches and sleeps under way at once",
                limits::MAX_PENDING_PER_TURN
            ),
        )
        .hint("Wait for some of them before you start more."))
    }

    /// Keeps a started effect and names it. There must be room.
    pub(crate) fn insert(&mut self, future: PendingFuture) -> u32 {
        let free = self
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Free));
        let index = free.unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        self.slots[index] = Slot::Running(future);
        let index = u32::try_from(index).expect("slots are bounded");
        (self.turn << SLOT_BITS) | index
    }

    /// The outcome, once.
    pub(crate) fn take(&mut self, handle: u32) -> Option<Result<Outcome, EddyError>> {
        let Some(slot) = self.slot(handle) else {
            return Some(Err(stale()));
        };
        if !matches!(slot, Slot::Done(_)) {
            return None;
        }
        match std::mem::replace(slot, Slot::Taken) {
            Slot::Done(outcome) => Some(outcome),
            Slot::Free | Slot::Running(_) | Slot::Taken => None,
        }
    }

    /// Cancels an effect, or forgets its outcome. Handles of earlier turns are gone already.
    pub(crate) fn remove(&mut self, handle: u32) {
        if let Some(slot) = self.slot(handle) {
            *slot = Slot::Free;
        }
    }

    /// Polls those of `handles` that run; ready with the positions of those that are done.
    pub(crate) fn poll(
        &mut self,
        handles: &[u32],
        cx: &mut Context<'_>,
    ) -> Poll<Result<Vec<u32>, EddyError>> {
        let (mut ready, mut running) = (Vec::new(), false);
        for (position, &handle) in (0u32..).zip(handles) {
            let Some(slot) = self.slot(handle) else {
                return Poll::Ready(Err(stale()));
            };
            if let Slot::Running(future) = slot {
                match future.as_mut().poll(cx) {
                    Poll::Ready(outcome) => *slot = Slot::Done(outcome),
                    Poll::Pending => running = true,
                }
            }
            if matches!(slot, Slot::Done(_)) {
                ready.push(position);
            }
        }
        match (ready.is_empty(), running) {
            (false, _) => Poll::Ready(Ok(ready)),
            (true, true) => Poll::Pending,
            (true, false) => Poll::Ready(Err(stalled())),
        }
    }

    fn slot(&mut self, handle: u32) -> Option<&mut Slot> {
        if handle >> SLOT_BITS != self.turn {
            return None;
        }
        self.slots
            .get_mut((handle & ((1 << SLOT_BITS) - 1)) as usize)
    }
}

fn stale() -> EddyError {
    EddyError::new(
        ErrorCode::ContextClosed,
        "this call, fetch or sleep was started in an earlier turn and ended with it",
    )
    .hint("Await it before the handler returns.")
}

fn stalled() -> EddyError {
    EddyError::new(
        ErrorCode::HandlerStalled,
        "the handler waits, but nothing it waits for is under way",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::task::Waker;

    fn done() -> PendingFuture {
        std::future::ready(Ok(Outcome::Elapsed)).boxed()
    }

    fn poll(pendings: &mut Pendings, handles: &[u32]) -> Poll<Result<Vec<u32>, EddyError>> {
        pendings.poll(handles, &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn only_what_is_ready_is_told_and_taken_once() {
        let mut pendings = Pendings::default();
        let never = pendings.insert(std::future::pending().boxed());
        let ready = pendings.insert(done());
        assert!(pendings.take(ready).is_none(), "not before a wait");
        assert_eq!(
            poll(&mut pendings, &[never, ready]),
            Poll::Ready(Ok(vec![1]))
        );
        assert_eq!(pendings.take(ready), Some(Ok(Outcome::Elapsed)));
        assert!(pendings.take(ready).is_none());
        assert!(poll(&mut pendings, &[never]).is_pending());
    }

    #[test]
    fn waiting_for_nothing_is_an_error() {
        let mut pendings = Pendings::default();
        let Poll::Ready(Err(error)) = poll(&mut pendings, &[]) else {
            panic!("must not wait")
        };
        assert_eq!(error.code, ErrorCode::HandlerStalled);
    }

    #[test]
    fn handles_of_an_earlier_turn_are_refused() {
        let mut pendings = Pendings::default();
        let old = pendings.insert(done());
        pendings.end_turn();
        let new = pendings.insert(std::future::pending().boxed());
        pendings.remove(old);
        assert!(
            poll(&mut pendings, &[new]).is_pending(),
            "the new one must still be there"
        );
        let Some(Err(error)) = pendings.take(old) else {
            panic!("must be refused")
        };
        assert_eq!(error.code, ErrorCode::ContextClosed);
    }

    #[test]
    fn the_number_under_way_is_bounded() {
        let mut pendings = Pendings::default();
        let mut last = 0;
        for _ in 0..limits::MAX_PENDING_PER_TURN {
            assert!(pendings.check_room().is_ok());
            last = pendings.insert(done());
        }
        let error = pendings.check_room().expect_err("full");
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        pendings.remove(last);
        assert!(pendings.check_room().is_ok());
    }
}
