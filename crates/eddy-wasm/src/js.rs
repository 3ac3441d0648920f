//! JavaScript: modules become bytecode once, at deploy, and the shared runtime loads it into each
//! instance. Parsing TypeScript and bundling happen before, in eddy-bundle.

use crate::bindings::exports::eddy::platform::javascript::{self, Module};
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::engine::Engine;
use crate::fault::{Fault, TrapKind};
use crate::instance::{Instance, InstanceLimits, guarded};
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode, GuestFailure, limits};

/// The component of the shared runtime.
pub(crate) const RUNTIME: &[u8] = include_bytes!("../assets/js-runtime.wasm");

/// A JavaScript module of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsModule {
    /// The path that stack traces name: `src/cart.ts`.
    pub name: String,
    /// JavaScript; types are stripped already.
    pub source: String,
}

/// A compiled program: QuickJS bytecode, for the runtime of this version of Eddy only. It runs
/// inside of the sandbox, so a damaged one harms nobody else. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsProgram(Bytes);

impl JsProgram {
    /// A program from the bytes that [`JsProgram::bytes`] gave.
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

impl Engine {
    /// Compiles modules; the first is the entry. Compiles the runtime too when it is not yet: see
    /// [`Engine::js_code`].
    ///
    /// # Errors
    /// `invalid-source` with the place of the mistake, or the fault of a compilation that did not
    /// end.
    pub async fn compile_js(
        &self,
        modules: &[JsModule],
        cancel: &CancelToken,
    ) -> Result<JsProgram, EddyError> {
        let code = self.js_code()?;
        let mut instance = code.start(&InstanceLimits::default(), cancel).await?;
        let modules: Vec<Module> = modules
            .iter()
            .map(|module| Module {
                name: module.name.clone(),
                source: module.source.clone(),
            })
            .collect();
        let javascript = instance.javascript(&code)?;
        let gave_way = instance.gave_way();
        let called = {
            let (_, store) = instance.parts();
            // The bytecode of a large app comes back in one piece.
            store.set_hostcall_fuel(2 * limits::MAX_DEPLOY_BYTES);
            guarded(javascript.call_compile(store, &modules), cancel, &gave_way).await
        };
        match instance.settled(called)? {
            Ok(bytecode) => Ok(JsProgram(bytecode.into())),
            Err(failure) => Err(invalid_source(failure)),
        }
    }
}

impl Instance {
    /// Loads a program into a fresh instance of the runtime.
    pub(crate) async fn load(
        &mut self,
        code: &Code,
        program: &JsProgram,
        cancel: &CancelToken,
    ) -> Result<(), Fault> {
        let javascript = self.javascript(code)?;
        let gave_way = self.gave_way();
        let called = {
            let (_, store) = self.parts();
            guarded(
                javascript.call_load(store, program.bytes()),
                cancel,
                &gave_way,
            )
            .await
        };
        self.settled(called)?.map_err(|failure| Fault::Trap {
            kind: TrapKind::Other,
            message: format!("the code does not load: {}", failure.message),
            backtrace: failure.stack.unwrap_or_default(),
        })
    }

    fn javascript(&mut self, code: &Code) -> Result<javascript::Guest, Fault> {
        let Some(indices) = code.javascript() else {
            return Err(Fault::Trap {
                kind: TrapKind::Other,
                message: "a JavaScript program needs the JavaScript runtime".to_owned(),
                backtrace: String::new(),
            });
        };
        let component = self.component();
        let (_, store) = self.parts();
        indices
            .load(store, &component)
            .map_err(|error| Fault::from_wasmtime(&error, None))
    }
}

/// A failure of the runtime about the user's source.
pub(crate) fn invalid_source(failure: javascript::Failure) -> EddyError {
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
