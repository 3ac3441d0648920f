//! JavaScript: modules become bytecode once, at deploy, and the shared runtime loads it into each
//! instance. Parsing TypeScript and bundling happen before, in eddy-bundle.

use crate::bindings::exports::eddy::platform::javascript::{self, Module};
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::instance::{Instance, InstanceLimits, guarded};
use crate::program::{Program, invalid_source};
use eddy_types::{EddyError, limits};

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
    ) -> Result<Program, EddyError> {
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
            let store = instance.store_mut();
            // The bytecode of a large app comes back in one piece.
            store.set_hostcall_fuel(2 * limits::MAX_DEPLOY_BYTES);
            guarded(javascript.call_compile(store, &modules), cancel, &gave_way).await
        };
        match instance.settled(called)? {
            Ok(bytecode) => Ok(Program::from_bytes(bytecode.into())),
            Err(failure) => Err(invalid_source(failure)),
        }
    }
}

impl Instance {
    fn javascript(&mut self, code: &Code) -> Result<javascript::Guest, Fault> {
        let Some(indices) = code.javascript() else {
            return Err(Fault::unusable(
                "a JavaScript program needs the JavaScript runtime",
            ));
        };
        let component = self.component();
        let store = self.store_mut();
        indices
            .load(store, &component)
            .map_err(|error| Fault::from_wasmtime(&error, None))
    }
}
