//! A compiled component, linked and ready to be instantiated.

use crate::bindings::exports::eddy::platform::{guest, javascript};
use crate::bindings::exports::eddy::python::programs as python;
use crate::engine::{Engine, invalid, places_of};
use crate::exchange;
use crate::instance::Entry;
use crate::state::State;
use eddy_types::{Digest, EddyError};
use std::sync::{Arc, Weak};
use wasmtime::Store;
use wasmtime::component::{self, Component, InstancePre};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;

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
    places: usize,
    pre: InstancePre<State>,
    entry: EntryIndices,
    javascript: Option<javascript::GuestIndices>,
    python: Option<python::GuestIndices>,
}

/// Where an instance finds what the component exports to be run.
pub(crate) enum EntryIndices {
    Platform(guest::GuestIndices),
    Http(incoming_handler::GuestIndices),
}

impl EntryIndices {
    fn of(pre: &InstancePre<State>, http: bool) -> wasmtime::Result<Self> {
        Ok(match http {
            true => Self::Http(incoming_handler::GuestIndices::new(pre)?),
            false => Self::Platform(guest::GuestIndices::new(pre)?),
        })
    }

    pub(crate) fn load(
        &self,
        store: &mut Store<State>,
        instance: &component::Instance,
    ) -> wasmtime::Result<Entry> {
        Ok(match self {
            Self::Platform(guest) => Entry::Platform(guest.load(store, instance)?),
            Self::Http(handler) => Entry::Http(handler.load(store, instance)?),
        })
    }
}

/// Whether a component answers HTTP. One that is for Eddy's own world is that and nothing else.
fn answers_http(engine: &Engine, component: &Component) -> bool {
    let of = component.component_type();
    let exports = || of.exports(engine.wasmtime()).map(|(name, _)| name);
    exports().any(exchange::is_handler) && !exports().any(|name| name.starts_with(PLATFORM))
}

/// What a component of functions and agents exports.
const PLATFORM: &str = "eddy:platform/guest@";

impl Code {
    /// Checks that the component imports nothing unknown and exports what a guest must.
    pub(crate) fn link(
        engine: &Engine,
        component: &Component,
        digest: Digest,
    ) -> Result<Self, EddyError> {
        let http = answers_http(engine, component);
        let pre = engine
            .linker(http)
            .instantiate_pre(component)
            .map_err(|error| {
                invalid(format!("it imports what Eddy does not provide: {error:#}"))
            })?;
        let entry = EntryIndices::of(&pre, http).map_err(|error| {
            invalid(match http {
                true => format!("its `wasi:http/incoming-handler` is none of 0.2: {error:#}"),
                false => format!(
                    "it lacks an export of `eddy:platform/guest@0.1.0` or \
                     `wasi:http/incoming-handler@0.2`: {error:#}"
                ),
            })
        })?;
        let javascript = javascript::GuestIndices::new(&pre).ok();
        let python = python::GuestIndices::new(&pre).ok();
        let engine = engine.clone();
        Ok(Self(Arc::new(Inner {
            engine,
            digest,
            places: places_of(component),
            pre,
            entry,
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

    /// How many of [`crate::EngineConfig::max_instances`] one instance takes: 1, or more when it has more
    /// than one memory or many tables.
    #[must_use]
    pub fn places(&self) -> usize {
        self.0.places
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        self.0.engine.wasmtime()
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.0.pre
    }

    pub(crate) fn entry(&self) -> &EntryIndices {
        &self.0.entry
    }

    /// Whether it answers HTTP requests: see [`crate::Instance::serve`].
    #[must_use]
    pub fn serves_http(&self) -> bool {
        matches!(self.0.entry, EntryIndices::Http(_))
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
