//! Native code: made from a component, and brought back from its bytes. Loading bytes is trusting
//! them, so only what was just compiled here or was verified gets that far.

use std::borrow::Cow;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// A component as native code, in the form that wasmtime serialises, from a source that is trusted.
pub(crate) struct Native<'a>(Cow<'a, [u8]>);

impl Native<'static> {
    /// Compiles with an engine of its own, that goes together with what compiling took: an engine
    /// keeps some 17 MB of scratch for the next time. `settings` are those of the engine that will
    /// load it, without its pool.
    pub(crate) fn compile(settings: &Config, component: &[u8]) -> wasmtime::Result<Self> {
        let native = Engine::new(settings)?.precompile_component(component)?;
        Ok(Self(Cow::Owned(native)))
    }
}

impl<'a> Native<'a> {
    /// Bytes of which a keyed hash says that this node wrote them.
    pub(crate) fn verified(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component, for this engine.
    #[allow(unsafe_code)]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: `deserialize` wants bytes that wasmtime's compiler made. `compile` took them from
        // there a moment ago; for the others a keyed hash shows that a node with our secret key wrote
        // exactly these bytes, and it writes nothing else.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
