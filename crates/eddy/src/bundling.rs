//! A large stack for bundling. Compilers descend into code as deep as it is nested, and programs that write
//! programs nest deep: on the stack that a thread has otherwise that ends the process.

use eddy_types::EddyError;
use std::panic::resume_unwind;
use std::thread;
use tokio::sync::oneshot;

/// Address space, of which only what is used becomes memory.
const STACK_BYTES: usize = 256 << 20;

/// Does `work`, which bundles, on a thread of its own, and waits for it. Who stops waiting, for a signal came, leaves the
/// thread to the end of the process: tools that build end when nobody reads what they print.
pub(crate) async fn on_a_large_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EddyError> {
    let (done, result) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("bundle".to_owned())
        .stack_size(STACK_BYTES);
    let thread = thread.spawn(move || drop(done.send(work())));
    let thread = thread.map_err(|error| {
        let reserve = STACK_BYTES >> 20;
        EddyError::internal(format!(
            "no thread can be started for bundling, with {reserve} MiB of stack: {error}"
        ))
    })?;
    match result.await {
        Ok(result) => Ok(result),
        Err(_) => resume_unwind(
            thread
                .join()
                .expect_err("it ends without a result by a panic"),
        ),
    }
}
