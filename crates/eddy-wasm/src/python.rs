//! Python: modules become code objects once, at deploy, and a shared runtime loads them into each instance. The
//! runtime is a component that whoever deploys brings along: it is too large to be part of every node.

use crate::bindings::exports::eddy::python::programs::Module;
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::engine::invalid;
use crate::fault::Fault;
use crate::instance::{InstanceLimits, guarded};
use crate::program::{Program, invalid_source};
use eddy_types::{EddyError, limits};

/// A Python module of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonModule {
    /// What it is imported as: `shop.cart`.
    pub name: String,
    /// The path that tracebacks name: `shop/cart.py`. A package is its `__init__.py`.
    pub path: String,
    /// Python.
    pub source: String,
}

impl Code {
    /// Compiles modules with this runtime; the first is the entry.
    ///
    /// # Errors
    /// `invalid-component` when this is no Python runtime, `invalid-source` with the place of the mistake, or the
    /// fault of a compilation that did not end.
    pub async fn compile_python(
        &self,
        modules: &[PythonModule],
        cancel: &CancelToken,
    ) -> Result<Program, EddyError> {
        let Some(indices) = self.python() else {
            return Err(invalid(
                "it is no Python runtime: it lacks the export `eddy:python/programs@0.1.0`"
                    .to_owned(),
            ));
        };
        let mut instance = self.start(&InstanceLimits::default(), cancel).await?;
        let modules: Vec<Module> = modules
            .iter()
            .map(|module| Module {
                name: module.name.clone(),
                path: module.path.clone(),
                source: module.source.clone(),
            })
            .collect();
        let component = instance.component();
        let gave_way = instance.gave_way();
        let called = {
            let store = instance.store_mut();
            // The code objects of a large app come back in one piece.
            store.set_hostcall_fuel(2 * limits::MAX_DEPLOY_BYTES);
            let python = indices
                .load(&mut *store, &component)
                .map_err(|error| Fault::from_wasmtime(&error, None))?;
            guarded(python.call_compile(store, &modules), cancel, &gave_way).await
        };
        match instance.settled(called)? {
            Ok(program) => Ok(Program::from_bytes(program.into())),
            Err(failure) => Err(invalid_source(failure)),
        }
    }
}
