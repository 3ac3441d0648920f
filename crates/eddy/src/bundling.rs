//! A large stack for bundling. Compilers descend into code as deep as it is nested, and programs that write
//! programs nest deep: on the stack that a thread has otherwise that ends the process.

use eddy_types::EddyError;
use std::panic::resume_unwind;
use std::thread;

/// Address space, of which only what is used becomes memory.
const STACK_BYTES: usize = 256 << 20;

/// Does `work`, which bundles, on a thread of its own, and waits for it.
pub(crate) fn on_a_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, EddyError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("bundle".to_owned())
            .stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work).map_err(|error| {
            let reserve = STACK_BYTES >> 20;
            EddyError::internal(format!(
                "no thread can be started for bundling, with {reserve} MiB of stack: {error}"
            ))
        })?;
        thread.join().map_err(|panic| resume_unwind(panic))
    })
}
