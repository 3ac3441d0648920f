//! A live instance of a component: it runs turns, one at a time.

use crate::account::MemoryAccount;
use crate::bindings::exports::eddy::platform::guest;
use crate::cancel::{CancelReason, CancelToken};
use crate::code::Code;
use crate::fault::Fault;
use crate::host::TurnHost;
use crate::outcome::{check_json, from_failure, says_out_of_memory};
use crate::program::Program;
use crate::state::State;
use bytes::Bytes;
use eddy_types::{AgentId, EddyError, Env, MethodName, Name, limits};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use wasmtime::{Store, UpdateDeadline, component};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;

/// Most bytes a guest may hand to the host in one call.
pub(crate) const MAX_HOST_CALL_BYTES: usize = 16 << 20;
/// Handles of effects a guest may hold, those it forgot included.
const MAX_HANDLES: usize = 10_000;

/// What an instance may use.
#[derive(Clone, Debug)]
pub struct InstanceLimits {
    /// Linear memory, in bytes.
    pub memory: usize,
    /// The app's environment, which WASI shows too. [`TurnHost::env`] is asked separately.
    pub env: Option<Arc<Env>>,
    /// The memory that it shares with others; every growth has to fit there, too.
    pub account: Option<Arc<MemoryAccount>>,
}

impl Default for InstanceLimits {
    fn default() -> Self {
        Self {
            memory: limits::DEFAULT_GUEST_MEMORY,
            env: None,
            account: None,
        }
    }
}

/// What a turn runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A function.
    Function(Name),
    /// A method of an agent.
    Method(AgentId, MethodName),
}

/// How a turn ended by itself: JSON text, or the guest's own error.
///
/// The error is `guest-error`, or the code of an error of the node that the guest passed on. It is
/// the turn's reply either way: its buffered effects are to be discarded.
pub type TurnOutcome = Result<Bytes, EddyError>;

/// A live instance. After a [`Fault`], or when a future of [`Instance::handle`] was dropped before
/// its end, it runs nothing any more.
pub struct Instance {
    store: Store<State>,
    component: component::Instance,
    entry: Entry,
    gave_way: Arc<AtomicBool>,
    usable: bool,
}

/// What a component exports to be run.
pub(crate) enum Entry {
    /// `eddy:platform/guest`: functions and agents.
    Platform(guest::Guest),
    /// `wasi:http/incoming-handler`.
    Http(incoming_handler::Guest),
}

impl Code {
    /// Makes an instance; for JavaScript, of the runtime with `program` loaded into it.
    ///
    /// # Errors
    /// A fault of the component's own start, a JavaScript module that throws when it loads (told as
    /// a trap), or [`Fault::NoRoom`].
    pub async fn instantiate(
        &self,
        limits: &InstanceLimits,
        program: Option<&Program>,
        cancel: &CancelToken,
    ) -> Result<Instance, Fault> {
        let mut instance = self.start(limits, cancel).await?;
        if let Some(program) = program {
            instance.usable = false;
            instance.load(self, program, cancel).await?;
            instance.usable = true;
        }
        Ok(instance)
    }

    pub(crate) async fn start(
        &self,
        limits: &InstanceLimits,
        cancel: &CancelToken,
    ) -> Result<Instance, Fault> {
        let state = State::new(limits, self, cancel.clone());
        let gave_way = Arc::clone(&state.gave_way);
        let mut store = new_store(self, state);
        let instantiated = {
            let call = self.pre().instantiate_async(&mut store);
            guarded(call, cancel, &gave_way)
                .await
                .map_err(Fault::cancelled)?
        };
        let loaded = instantiated
            .and_then(|component| Ok((component, self.entry().load(&mut store, &component)?)));
        match loaded {
            Ok((component, entry)) => {
                store.data_mut().limiter.started();
                Ok(Instance {
                    store,
                    component,
                    entry,
                    gave_way,
                    usable: true,
                })
            }
            Err(error) => Err(Fault::from_wasmtime(&error, store.data().limiter.denied())),
        }
    }
}

fn new_store(code: &Code, state: State) -> Store<State> {
    let mut store = Store::new(code.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(MAX_HOST_CALL_BYTES);
    store.set_max_component_handles(match code.serves_http() {
        true => limits::MAX_HTTP_HANDLES,
        false => MAX_HANDLES,
    });
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|cx| match cx.data().cancel.reason() {
        Some(reason) => Err(wasmtime::Error::new(Cancelled(reason))),
        None => {
            cx.data().gave_way.store(true, Ordering::Relaxed);
            Ok(UpdateDeadline::Yield(1))
        }
    });
    store
}

impl Instance {
    /// Runs one turn to its end. `argument` must be JSON text. Effects still under way when the
    /// handler returns are cancelled.
    ///
    /// # Errors
    /// A fault; the instance must then be dropped.
    pub async fn handle(
        &mut self,
        target: &Target,
        argument: Bytes,
        host: Box<dyn TurnHost>,
        cancel: &CancelToken,
    ) -> Result<TurnOutcome, Fault> {
        self.take_use()?;
        let Entry::Platform(guest) = &self.entry else {
            return Err(Fault::unusable(
                "the component answers HTTP, and nothing else",
            ));
        };
        self.store.data_mut().begin_turn(host, cancel.clone());
        let (target, argument) = (target.to_wit(), Vec::from(argument));
        let called = {
            let call = guest.call_handle(&mut self.store, &target, &argument);
            guarded(call, cancel, &self.gave_way).await
        };
        let told = self.store.data_mut().end_turn();
        let result = self.settled(called)?;
        let denied = self.store.data().limiter.denied();
        let outcome = match result {
            Err(failure)
                if says_out_of_memory(&failure)
                    && let Some(denied) = denied =>
            {
                return Err(denied.fault());
            }
            Ok(json) => Ok(checked_result(json)?),
            Err(failure) => Err(from_failure(failure, &told)),
        };
        self.usable = true;
        Ok(outcome)
    }

    /// The linear memory of the instance, in bytes: an upper bound of what is resident.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.used()
    }

    /// How many of [`crate::EngineConfig::max_instances`] it takes: see [`Code::places`].
    #[must_use]
    pub fn places(&self) -> usize {
        self.store.data().limiter.places()
    }

    /// What an idle instance counts for, in bytes, where many share a memory limit: its linear memory
    /// without what toolchains set aside for a stack, of which next to nothing is ever touched, and without
    /// what a Python runtime's instances share; and its tables.
    #[must_use]
    pub fn charged_bytes(&self) -> usize {
        self.store.data().limiter.counts_for()
    }

    /// The instance is used, and not usable again unless whoever uses it says so: not when its future is dropped
    /// before its end.
    pub(crate) fn take_use(&mut self) -> Result<(), Fault> {
        if !std::mem::replace(&mut self.usable, false) {
            return Err(Fault::unusable("the instance was used after a fault"));
        }
        self.store.set_epoch_deadline(1);
        Ok(())
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The store, for the calls that are no turns.
    pub(crate) fn store_mut(&mut self) -> &mut Store<State> {
        self.store.set_epoch_deadline(1);
        &mut self.store
    }

    /// What the component says it defines.
    pub(crate) async fn call_describe(
        &mut self,
        cancel: &CancelToken,
    ) -> Result<Result<guest::Definition, guest::Failure>, Fault> {
        let Entry::Platform(guest) = &self.entry else {
            return Err(Fault::unusable(
                "the component answers HTTP, and describes nothing",
            ));
        };
        self.store.set_epoch_deadline(1);
        let called = guarded(guest.call_describe(&mut self.store), cancel, &self.gave_way).await;
        self.settled(called)
    }

    pub(crate) fn component(&self) -> component::Instance {
        self.component
    }

    pub(crate) fn gave_way(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.gave_way)
    }

    /// Tells a result of wasmtime from a fault.
    pub(crate) fn settled<T>(
        &self,
        called: Result<wasmtime::Result<T>, CancelReason>,
    ) -> Result<T, Fault> {
        let denied = self.store.data().limiter.denied();
        match called {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Fault::from_wasmtime(&error, denied)),
            Err(reason) => Err(Fault::cancelled(reason)),
        }
    }
}

impl Target {
    fn to_wit(&self) -> guest::Target {
        match self {
            Self::Function(name) => guest::Target::Function(name.as_str().to_owned()),
            Self::Method(agent, method) => {
                let address = guest::AgentRef {
                    agent_type: agent.agent_type().as_str().to_owned(),
                    key: agent.key().as_str().to_owned(),
                };
                guest::Target::Method((address, method.as_str().to_owned()))
            }
        }
    }
}

fn checked_result(json: Vec<u8>) -> Result<Bytes, Fault> {
    match check_json(&json) {
        Ok(()) => Ok(json.into()),
        Err(why) => Err(Fault::InvalidResult {
            message: format!("the guest's result is not JSON: {why}"),
        }),
    }
}

/// Runs guest code until it ends or is cancelled. A guest that waits is stopped at once, by
/// dropping it. One that computes stops itself at its next tick, so that it can say where it was.
pub(crate) async fn guarded<T>(
    call: impl Future<Output = T>,
    cancel: &CancelToken,
    gave_way: &AtomicBool,
) -> Result<T, CancelReason> {
    let mut call = pin!(call);
    poll_fn(|cx| {
        cancel.register(cx.waker());
        gave_way.store(false, Ordering::Relaxed);
        match call.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending if gave_way.load(Ordering::Relaxed) => Poll::Pending,
            Poll::Pending => match cancel.reason() {
                Some(reason) => Poll::Ready(Err(reason)),
                None => Poll::Pending,
            },
        }
    })
    .await
}

/// The error that a cancelled guest traps with.
#[derive(Debug)]
pub(crate) struct Cancelled(pub(crate) CancelReason);

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the turn was cancelled")
    }
}

impl std::error::Error for Cancelled {}
