//! Tasks and threads: the only place of Eddy that starts them.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where tasks and threads are started"
)]

use eddy_types::EddyError;
use std::future::Future;
use std::thread;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
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
