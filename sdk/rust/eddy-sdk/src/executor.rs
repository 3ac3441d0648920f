//! Runs a handler's future to its end on the one thread there is: polls it, and waits on the node when it waits.

use crate::bindings::eddy::platform::types::Failure;
use crate::effects;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// Whether the handler was woken since it was last polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// Its result, or why the node or this SDK gave up on it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return Ok(result);
        }
        while !woken.0.swap(false, Relaxed) {
            effects::wait()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::oneshot;

    #[test]
    fn what_wakes_itself_goes_on_and_what_nobody_wakes_is_stalled() {
        let (tell, told) = oneshot::channel();
        let both = async { futures::join!(told, async { tell.send(7) }).0 };
        assert_eq!(block_on(both).unwrap(), Ok(7));
        let stalled = block_on(std::future::pending::<()>()).unwrap_err();
        assert_eq!(stalled.code, "handler-stalled");
    }
}
