//! Tasks and threads: the only place of Eddy that starts them.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where tasks and threads are started"
)]

use eddy_types::EddyError;
use std::future::Future;
use std::thread;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};
use tokio_util::task::TaskTracker;

/// Starts tasks of one node and waits for them at its end.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    /// On the runtime that the caller runs on.
    pub(crate) fn new() -> Self {
        Self {
            handle: Handle::current(),
            tracker: TaskTracker::new(),
        }
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(future, &self.handle)
    }

    /// Waits for every task.
    pub(crate) async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Runs something that blocks or computes for long off the async threads.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, EddyError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let joined = spawn_blocking(work).await;
    joined.map_err(|error| EddyError::internal(format!("a background task broke: {error}")))
}

/// Runs what computes for long on this thread, while another one takes over what waits here: whose turn it is on the
/// processors is then the system's matter, which lets a thread go first that has slept until its request came. The
/// runtime would look at the network again only after dozens of slices.
pub(crate) fn computing<T>(work: impl FnOnce() -> T) -> T {
    let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match runtime {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // There is no other one.
        _ => work(),
    }
}

/// A named thread.
pub(crate) fn thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, EddyError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| EddyError::internal(format!("the thread {name} does not start: {error}")))
}
