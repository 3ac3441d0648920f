//! Programs: what the shared runtime of a language compiled from an app's modules, and how it is loaded into an
//! instance of that runtime. Compiling is in `js` and `python`.

use crate::bindings::eddy::platform::types::Failure;
use crate::bindings::exports::eddy::platform::javascript;
use crate::bindings::exports::eddy::python::programs as python;
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::fault::{Fault, TrapKind};
use crate::instance::{Instance, guarded};
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode, GuestFailure};

/// A compiled program: bytecode of QuickJS or of Python, for exactly the build of the runtime that made it. It
/// runs inside of the sandbox, so a damaged one harms nobody else. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Bytes);

impl Program {
    /// A program from the bytes that [`Program::bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytecode, to keep it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

/// What a runtime exports besides `guest`.
enum Runtime {
    JavaScript(javascript::Guest),
    Python(python::Guest),
}

impl Instance {
    /// Loads a program into a fresh instance of its runtime.
    pub(crate) async fn load(
        &mut self,
        code: &Code,
        program: &Program,
        cancel: &CancelToken,
    ) -> Result<(), Fault> {
        let runtime = self.runtime(code)?;
        let gave_way = self.gave_way();
        let called = {
            let store = self.store_mut();
            let bytes = program.bytes();
            match runtime {
                Runtime::JavaScript(runtime) => {
                    guarded(runtime.call_load(store, bytes), cancel, &gave_way).await
                }
                Runtime::Python(runtime) => {
                    guarded(runtime.call_load(store, bytes), cancel, &gave_way).await
                }
            }
        };
        self.settled(called)?.map_err(|failure| {
            // A class of exceptions says more than its message.
            let named = match failure.code.as_str() {
                "Error" => failure.message,
                name => format!("{name}: {}", failure.message),
            };
            Fault::Trap {
                kind: TrapKind::Other,
                message: format!("the code does not load: {named}"),
                backtrace: failure.stack.unwrap_or_default(),
            }
        })
    }

    fn runtime(&mut self, code: &Code) -> Result<Runtime, Fault> {
        let component = self.component();
        let store = self.store_mut();
        let loaded = match (code.javascript(), code.python()) {
            (Some(indices), _) => indices.load(store, &component).map(Runtime::JavaScript),
            (None, Some(indices)) => indices.load(store, &component).map(Runtime::Python),
            (None, None) => {
                return Err(Fault::unusable(
                    "a program needs the runtime of its language",
                ));
            }
        };
        loaded.map_err(|error| Fault::from_wasmtime(&error, None))
    }
}

/// A failure of a runtime about the user's source.
pub(crate) fn invalid_source(failure: Failure) -> EddyError {
    let error = EddyError::new(ErrorCode::InvalidSource, failure.message).guest(GuestFailure {
        name: failure.code,
        stack: failure.stack.clone(),
        status: None,
        details: None,
    });
    match failure.stack {
        Some(stack) if !stack.is_empty() => EddyError {
            detail: format!("{}\n{}", error.detail, stack.trim_end()),
            ..error
        },
        _ => error,
    }
}
