//! The engine: configuration of wasmtime, compilation, and the shared JavaScript runtime. One per
//! node.

use crate::bindings;
use crate::cache::{Cache, CacheConfig};
use crate::code::{Code, WeakCode};
use crate::limiter::MAX_PARTS;
use crate::maps;
use crate::native::Native;
use crate::state::State;
use eddy_types::{Digest, EddyError, ErrorCode, limits};
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

/// Stack a guest may use, in bytes.
const GUEST_STACK: usize = 1 << 20;
/// Stack of a turn: the guest's, and above it the host's functions and the effects polled there.
const TURN_STACK: usize = 2 << 20;
/// Addresses that all guest memories may reserve together: half of what a process has on x86-64.
const RESERVABLE: u64 = 64 << 40;
/// Below this reservation guests need explicit bounds checks.
const FULL_RESERVATION: u64 = 4 << 30;
/// Tables that a component has on average: of its module, adapters and shims. Each takes addresses.
const TABLES: u32 = 4;
/// Core instances that there may be for each component: as many as it may have, since they are only counted.
const PARTS: u32 = MAX_PARTS as u32;
/// Freed memories whose pages are dropped with one call: other processors are told once then.
const DROPPED_TOGETHER: usize = 16;

/// How an [`Engine`] is set up.
#[derive(Clone)]
pub struct EngineConfig {
    /// Where compiled components are kept; none compiles at every start.
    pub cache: Option<CacheConfig>,
    /// Instances that may be alive at once. Each takes two of the kernel's memory maps
    /// (`vm.max_map_count`, 65,530 by default) from the start and four more once its slot was used:
    /// see [`Engine::shortage`].
    pub max_instances: u32,
    /// Largest memory limit an instance may be given, in bytes.
    pub max_memory: usize,
    /// The component for the world `eddy:platform/js-runtime`.
    pub js_runtime: &'static [u8],
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache: None,
            max_instances: 10_000,
            max_memory: limits::MAX_GUEST_MEMORY,
            js_runtime: crate::js::RUNTIME,
        }
    }
}

/// Compiles components and holds what all their instances share. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    /// What components are compiled with.
    compiler: Config,
    linker: Linker<State>,
    /// The same with `wasi:http`, for guests that answer HTTP.
    http_linker: Linker<State>,
    cache: Option<Cache>,
    shortage: Option<EddyError>,
    js_runtime: &'static [u8],
    js_code: parking_lot::Mutex<Option<Code>>,
    /// Code that somebody holds, so that all apps with one runtime share it.
    live: parking_lot::Mutex<BTreeMap<Digest, WeakCode>>,
}

impl Engine {
    /// Sets up wasmtime and reserves addresses for all instances.
    ///
    /// # Errors
    /// `overloaded` when the system does not give as many addresses or memory maps.
    pub fn new(config: EngineConfig) -> Result<Self, EddyError> {
        let mut settings = settings(&config);
        let wasmtime = wasmtime::Engine::new(&settings).map_err(|error| {
            EddyError::new(
                ErrorCode::Overloaded,
                format!(
                    "the system has no room for {} instances: {error:#}",
                    config.max_instances
                ),
            )
            .hint(format!(
                "{} `ulimit -v` must not be set either.",
                maps::remedy(config.max_instances)
            ))
        })?;
        let shortage = maps::shortage(config.max_instances);
        let linked = |linker: wasmtime::Result<_>| {
            linker.map_err(|error| EddyError::internal(format!("linking the host: {error:#}")))
        };
        let linker = linked(linker(&wasmtime))?;
        let http_linker = linked(http_linker(&linker))?;
        let cache = config.cache.map(|cache| Cache::new(cache, &wasmtime));
        settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Ok(Self(Arc::new(Inner {
            wasmtime,
            compiler: settings,
            linker,
            http_linker,
            cache,
            shortage,
            js_runtime: config.js_runtime,
            js_code: parking_lot::Mutex::default(),
            live: parking_lot::Mutex::default(),
        })))
    }

    /// What the system lacks for as many live instances as were asked for, with the remedy. The
    /// engine works all the same; near its limit, instances then end with [`crate::Fault::NoRoom`].
    #[must_use]
    pub fn shortage(&self) -> Option<&EddyError> {
        self.0.shortage.as_ref()
    }

    /// How many of [`EngineConfig::max_instances`] are taken: by live instances, or by the memories and
    /// tables of those that have more than one.
    #[must_use]
    pub fn instances(&self) -> usize {
        let Some(pool) = self.0.wasmtime.pooling_allocator_metrics() else {
            return 0;
        };
        let components = usize::try_from(pool.component_instances()).unwrap_or(usize::MAX);
        components.max(places(pool.memories(), pool.tables()))
    }

    /// One tick: every running guest gives way to other tasks at its next check and sees whether it
    /// was cancelled. Call it about once a millisecond from a thread that nothing else can block;
    /// without ticks an endless loop holds its thread for ever.
    pub fn tick(&self) {
        self.0.wasmtime.increment_epoch();
    }

    /// Compiles a component, or loads it when it was compiled before. Takes up to seconds: call it
    /// where blocking is allowed.
    ///
    /// # Errors
    /// `invalid-component` when the bytes are not a component, or not one for this world.
    pub fn compile(&self, bytes: &[u8]) -> Result<Code, EddyError> {
        match self.load_cached(Digest::of(bytes)) {
            Some(code) => Ok(code),
            None => self.compile_anew(bytes),
        }
    }

    /// [`Self::compile`] for who must not learn whether it was compiled before: that takes as long as
    /// the first time.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_anew(&self, bytes: &[u8]) -> Result<Code, EddyError> {
        let digest = Digest::of(bytes);
        check_header(bytes)?;
        let native = Native::compile(&self.0.compiler, bytes)
            .map_err(|error| invalid(format!("it does not compile: {error:#}")))?;
        // Here the pool sees it, with its limits for tables and instances.
        let component = native
            .load(&self.0.wasmtime)
            .map_err(|error| invalid(format!("it is too large for a node: {error:#}")))?;
        let code = Code::link(self, &component, digest)?;
        self.store(digest, &native);
        Ok(self.shared(code))
    }

    /// A component that this node compiled before: what is in use already, or from its cache, which reads a file.
    #[must_use]
    pub fn load_cached(&self, digest: Digest) -> Option<Code> {
        let live = self.0.live.lock().get(&digest).and_then(WeakCode::upgrade);
        if live.is_some() {
            return live;
        }
        let component = self.0.cache.as_ref()?.load(&self.0.wasmtime, digest)?;
        Code::link(self, &component, digest)
            .ok()
            .map(|code| self.shared(code))
    }

    /// The code of that digest that is in use already, or `code` from now on.
    fn shared(&self, code: Code) -> Code {
        let mut live = self.0.live.lock();
        live.retain(|_, code| code.upgrade().is_some());
        if let Some(present) = live.get(&code.digest()).and_then(WeakCode::upgrade) {
            return present;
        }
        live.insert(code.digest(), code.downgrade());
        code
    }

    /// Removes compiled components from the cache: those that are not kept, and those that this
    /// engine cannot load. The JavaScript runtime stays. Does what it can, and tells the log.
    pub fn sweep_cache(&self, keep: impl Fn(Digest) -> bool) {
        let Some(cache) = &self.0.cache else { return };
        let runtime = Digest::of(self.0.js_runtime);
        if let Err(error) = cache.sweep(|digest| digest == runtime || keep(digest)) {
            tracing::warn!(%error, "unused compiled components could not be removed");
        }
    }

    /// The JavaScript runtime, compiled at its first use: call it first where blocking is allowed.
    ///
    /// # Errors
    /// `internal` when this build of Eddy has none.
    pub fn js_code(&self) -> Result<Code, EddyError> {
        let mut kept = self.0.js_code.lock();
        if let Some(code) = &*kept {
            return Ok(code.clone());
        }
        let code = self.compile(self.0.js_runtime).map_err(|error| {
            EddyError::internal(format!(
                "the JavaScript runtime is unusable: {}",
                error.detail
            ))
        })?;
        Ok(kept.insert(code).clone())
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    /// What components get; those that answer HTTP get more.
    pub(crate) fn linker(&self, http: bool) -> &Linker<State> {
        match http {
            true => &self.0.http_linker,
            false => &self.0.linker,
        }
    }

    /// Keeps a compiled component; that it cannot be kept costs time only.
    fn store(&self, digest: Digest, native: &Native<'_>) {
        let Some(cache) = &self.0.cache else { return };
        if let Err(error) = cache.store(digest, native.bytes()) {
            tracing::warn!(%digest, %error, "a compiled component could not be kept");
        }
    }
}

/// For how many instances the pool has so many memories and tables.
fn places(memories: usize, tables: usize) -> usize {
    memories.max(tables.div_ceil(TABLES as usize))
}

/// For how many instances it has what one of a component takes.
pub(crate) fn places_of(component: &Component) -> usize {
    let taken = component.resources_required();
    // Only who imports modules does not say, and there are none to import.
    let taken = taken.map_or(MAX_PARTS, |taken| {
        places(taken.num_memories as usize, taken.num_tables as usize)
    });
    taken.max(1)
}

/// An `invalid-component` error.
pub(crate) fn invalid(why: String) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidComponent,
        format!("not a component Eddy can run: {why}"),
    )
    .hint(
        "Build a component for the world `eddy:platform/app` in wit/platform.wit, or one that answers HTTP: for the \
         world `wasi:http/proxy` of WASI 0.2.",
    )
}

/// Tells the mistakes apart that people make first.
fn check_header(bytes: &[u8]) -> Result<(), EddyError> {
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(invalid(
            "it is a core WebAssembly module, not a component".to_owned(),
        )
        .hint(
            "In Rust, build it with `--target wasm32-wasip2`; else use `wasm-tools component new`.",
        )),
        [0, b'a', b's', b'm', ..] => Ok(()),
        _ => Err(invalid(
            "it does not start like a WebAssembly file".to_owned(),
        )),
    }
}

fn settings(config: &EngineConfig) -> Config {
    let count = config.max_instances.max(1);
    let reservation = (RESERVABLE / u64::from(count)).min(FULL_RESERVATION);
    let reservation = reservation
        .max(config.max_memory as u64)
        .next_multiple_of(1 << 16);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(PARTS))
        .total_memories(count)
        .total_tables(count.saturating_mul(TABLES))
        .total_stacks(count)
        .max_memory_size(config.max_memory)
        // Nothing that a guest wrote is kept for the next one. Searching for it (`PAGEMAP_SCAN`) is
        // quicker, and overlooks pages that the kernel moves or has swapped out at that moment.
        .pagemap_scan(Enabled::No)
        .decommit_batch_size(DROPPED_TOGETHER);
    let mut settings = Config::new();
    settings
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(reservation)
        .memory_may_move(false)
        .memory_init_cow(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(TURN_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    settings
}

fn http_linker(linker: &Linker<State>) -> wasmtime::Result<Linker<State>> {
    let mut linker = linker.clone();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    use bindings::eddy::platform::{context, effects, outbox, state, types};
    let mut linker = Linker::<State>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    state::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    effects::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    outbox::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    context::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}
