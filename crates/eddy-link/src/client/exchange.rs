//! One request, from its sending to its answer. Dropped before that, it cancels.

use super::check_head;
use super::role::{ClientRole, Deadline, Slot, Waiting, give_up, not_started};
use crate::frame::Kind;
use crate::request::{Failure, Fate, Reply, Request};
use crate::shared::{Role as _, Shared, lost};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// One request under way.
pub(super) struct Exchange<'a> {
    shared: &'a Arc<Shared<ClientRole>>,
    request: Option<Request>,
    deadline: Option<Deadline>,
    /// 0 before it was sent and after it was answered.
    stream: u64,
}

impl<'a> Exchange<'a> {
    /// Sends `request` when it is first polled, and ends at `deadline` at the latest.
    pub(super) fn new(
        shared: &'a Arc<Shared<ClientRole>>,
        request: Request,
        deadline: Option<Deadline>,
    ) -> Self {
        Self {
            shared,
            request: Some(request),
            deadline,
            stream: 0,
        }
    }

    fn send(&mut self, request: Request, waker: Waker) -> Result<(), Failure> {
        let (mut head, body) = request.into_wire();
        check_head(&head)?;
        let mut state = self.shared.state.lock();
        if state.ended.is_some() || state.role.refused.is_some() {
            return Err(not_started(&state));
        }
        let stream = state.role.next;
        state.role.next += 1;
        self.stream = stream;
        let waiting = Waiting {
            position: state.out.position(),
            deadline: self.deadline,
            waker,
        };
        state.role.slots.insert(stream, Slot::Waiting(waiting));
        let head = |body_bytes| {
            head.body_bytes = body_bytes;
            head
        };
        state.out.message(Kind::Request, 0, stream, body, head);
        let at = self.deadline.map(|deadline| deadline.at);
        let sooner = at.filter(|at| state.role.alarm.is_none_or(|alarm| *at < alarm));
        if sooner.is_some() {
            state.role.alarm = sooner;
        }
        let eager = state.eager;
        self.shared.flush(state);
        if sooner.is_some() || eager {
            self.shared.driver.wake();
        }
        Ok(())
    }
}

impl Future for Exchange<'_> {
    type Output = Result<Reply, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(request) = self.request.take() {
            return match self.send(request, cx.waker().clone()) {
                Ok(()) => Poll::Pending,
                Err(failure) => Poll::Ready(Err(failure)),
            };
        }
        let stream = self.stream;
        let mut state = self.shared.state.lock();
        if let Some(Slot::Waiting(waiting)) = state.role.slots.get_mut(&stream) {
            if !waiting.waker.will_wake(cx.waker()) {
                let old = std::mem::replace(&mut waiting.waker, cx.waker().clone());
                drop(state);
                // May end a task of its user, who may come back here.
                drop(old);
            }
            return Poll::Pending;
        }
        let slot = state.role.slots.remove(&stream);
        let last = state.draining && state.role.is_idle();
        drop(state);
        self.stream = 0;
        if last {
            self.shared.driver.wake();
        }
        Poll::Ready(match slot {
            Some(Slot::Done(result)) => *result,
            _ => Err(Failure::new(lost("the request is gone"), Fate::Unknown)),
        })
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.stream == 0 {
            return;
        }
        let stream = self.stream;
        // Dropped after the lock was released: a waker may end a task of its user.
        let slot;
        let mut state = self.shared.state.lock();
        slot = state.role.slots.remove(&stream);
        if matches!(slot, Some(Slot::Waiting(_))) && state.ended.is_none() {
            give_up(&mut state, stream);
            self.shared.flush(state);
        } else if state.draining && state.role.is_idle() {
            drop(state);
            self.shared.driver.wake();
        }
    }
}
