//! A compiled component, linked and ready to be instantiated.

use crate::bindings::exports::eddy::platform::{guest, javascript};
use crate::bindings::exports::eddy::python::programs as python;
use crate::engine::{Engine, invalid};
use crate::state::State;
use eddy_types::{Digest, EddyError};
use std::sync::{Arc, Weak};
use wasmtime::component::{Component, InstancePre};

/// A component ready to run. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Code(Arc<Inner>);

/// Code for as long as somebody else holds it.
pub(crate) struct WeakCode(Weak<Inner>);

impl WeakCode {
    pub(crate) fn upgrade(&self) -> Option<Code> {
        self.0.upgrade().map(Code)
    }
}

struct Inner {
    engine: Engine,
    digest: Digest,
    pre: InstancePre<State>,
    guest: guest::GuestIndices,
    javascript: Option<javascript::GuestIndices>,
    python: Option<python::GuestIndices>,
}

impl Code {
    /// Checks that the component imports nothing unknown and exports what a guest must.
    pub(crate) fn link(
        engine: &Engine,
        component: &Component,
        digest: Digest,
    ) -> Result<Self, EddyError> {
        let pre = engine
            .linker()
            .instantiate_pre(component)
            .map_err(|error| {
                invalid(format!("it imports what Eddy does not provide: {error:#}"))
            })?;
        let guest = guest::GuestIndices::new(&pre).map_err(|error| {
            invalid(format!(
                "it lacks an export of `eddy:platform/guest@0.1.0`: {error:#}"
            ))
        })?;
        let javascript = javascript::GuestIndices::new(&pre).ok();
        let python = python::GuestIndices::new(&pre).ok();
        let engine = engine.clone();
        Ok(Self(Arc::new(Inner {
            engine,
            digest,
            pre,
            guest,
            javascript,
            python,
        })))
    }

    pub(crate) fn downgrade(&self) -> WeakCode {
        WeakCode(Arc::downgrade(&self.0))
    }

    /// The digest of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        self.0.engine.wasmtime()
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.0.pre
    }

    pub(crate) fn guest(&self) -> &guest::GuestIndices {
        &self.0.guest
    }

    /// There only in the JavaScript runtime.
    pub(crate) fn javascript(&self) -> Option<&javascript::GuestIndices> {
        self.0.javascript.as_ref()
    }

    /// There only in a Python runtime.
    pub(crate) fn python(&self) -> Option<&python::GuestIndices> {
        self.0.python.as_ref()
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Code").field(&self.0.digest).finish()
    }
}
