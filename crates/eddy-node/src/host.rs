//! What a guest may do while it runs: the imports of wit/platform.wit, for a turn of an agent and
//! for a function. Buffered effects gather here; immediate ones are started in `effects.rs`.

mod others;

use crate::catalog::App;
use crate::clock;
use crate::effects::{self, Caller};
use crate::facade::{InvocationTarget, LogLine};
use crate::inner::Inner;
use crate::logs::{LogSource, TurnLog};
use bytes::Bytes;
use eddy_core::{Effects, MessageId, Outgoing, Range, StoreView as _, TurnPolicy, TurnStart};
use eddy_types::{AgentId, EddyError, ErrorCode, MethodName, Name, TenantId, Timestamp};
use eddy_wasm::{Entry, HttpRequest, LogLevel, PendingFuture, TurnHost, Value};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use others::{FunctionHost, SnapshotHost, who_invokes};

/// What a turn leaves behind for the node.
#[derive(Default)]
pub(crate) struct TurnShared {
    effects: Mutex<Effects>,
    log: Mutex<TurnLog>,
}

impl TurnShared {
    pub(crate) fn take_effects(&self) -> Effects {
        std::mem::take(&mut self.effects.lock())
    }

    /// The log, when the attempt is over; from `error` on when it failed.
    pub(crate) fn end_log(
        &self,
        inner: &Inner,
        error: Option<&EddyError>,
        who: impl Fn() -> (TenantId, LogSource),
    ) -> Vec<LogLine> {
        std::mem::take(&mut *self.log.lock()).end(&inner.logs, error, who)
    }

    pub(crate) fn log(
        &self,
        inner: &Inner,
        level: LogLevel,
        message: &str,
        who: impl FnOnce() -> (TenantId, LogSource),
    ) {
        self.log.lock().line(&inner.logs, level, message, who);
    }
}

/// An attempt at a turn, as the log names it.
pub(crate) fn who(
    app: &App,
    agent: &AgentId,
    method: &MethodName,
    id: MessageId,
) -> (TenantId, LogSource) {
    let target = InvocationTarget::Method(agent.clone(), method.clone());
    let source = LogSource::new(app.spec.name.clone(), target, id);
    (agent.tenant().clone(), source)
}

/// What every guest has: its app, its id, its clock, its log.
struct Common {
    app: Arc<App>,
    shared: Arc<TurnShared>,
    caller: Arc<Caller>,
    began: Timestamp,
}

impl Common {
    fn send(
        &self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        let to = self.address(agent_type, key)?;
        let method = self.app.method(to.agent_type(), method)?;
        if self.caller.read_only {
            return Err(write_in_query("make a send"));
        }
        self.app.account.may_store()?;
        self.caller.inner.catalog.method(&to, &method)?;
        let outgoing = Outgoing {
            to,
            method,
            argument,
        };
        self.shared.effects.lock().send(outgoing)
    }

    fn call(
        &self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<PendingFuture, EddyError> {
        let to = self.address(agent_type, key)?;
        let method = self.app.method(to.agent_type(), method)?;
        effects::call(&self.caller, to, method, argument)
    }

    fn address(&self, agent_type: &str, key: &str) -> Result<AgentId, EddyError> {
        self.app.address(&self.caller.tenant, agent_type, key)
    }
}

/// A running turn of an agent.
pub(crate) struct AgentHost {
    common: Common,
    start: TurnStart,
    policy: TurnPolicy,
}

impl AgentHost {
    #[allow(clippy::too_many_arguments, reason = "made in one place")]
    pub(crate) fn new(
        inner: &Arc<Inner>,
        app: &Arc<App>,
        start: TurnStart,
        began: Timestamp,
        deadline: Option<Timestamp>,
        policy: TurnPolicy,
        shared: Arc<TurnShared>,
    ) -> Self {
        let caller = Caller::of_turn(inner, app, &start, deadline, policy.read_only);
        let common = Common {
            app: app.clone(),
            shared,
            caller: Arc::new(caller),
            began,
        };
        Self {
            common,
            start,
            policy,
        }
    }

    fn writable(&self, what: &str) -> Result<(), EddyError> {
        if self.policy.read_only {
            Err(write_in_query(what))
        } else {
            Ok(())
        }
    }
}

fn write_in_query(what: &str) -> EddyError {
    EddyError::new(ErrorCode::WriteInQuery, format!("a query may not {what}"))
        .hint("Make it an ordinary method: remove `query(...)` or the read-only mark.")
}

fn from_core(value: eddy_core::Value) -> Value {
    match value {
        eddy_core::Value::Json(bytes) => Value::Json(bytes),
        eddy_core::Value::Bytes(bytes) => Value::Bytes(bytes),
    }
}

fn entries(found: Vec<(String, eddy_core::Value)>) -> Vec<Entry> {
    let entries = found.into_iter();
    entries
        .map(|(key, value)| (key, from_core(value)))
        .collect()
}

fn to_core(value: Value) -> eddy_core::Value {
    match value {
        Value::Json(bytes) => eddy_core::Value::Json(bytes),
        Value::Bytes(bytes) => eddy_core::Value::Bytes(bytes),
    }
}

impl TurnHost for AgentHost {
    fn state_get(&mut self, key: &str) -> Result<Option<Value>, EddyError> {
        let shard = self.common.caller.inner.shard(self.start.turn.shard);
        let effects = self.common.shared.effects.lock();
        let (agent, durability) = (&self.start.agent, self.policy.durability);
        let known = shard
            .lock()
            .core
            .reads(agent, durability, &effects)
            .get(key);
        // Outside the lock: the disk must not hold up the other agents of the shard.
        let found = known.or_ask(|| shard.view.state(agent, key))?;
        Ok(found.map(from_core))
    }

    fn state_set(&mut self, key: String, value: Value) -> Result<(), EddyError> {
        self.writable("write state")?;
        self.common.app.account.may_store()?;
        self.common.shared.effects.lock().set(&key, to_core(value))
    }

    fn state_delete(&mut self, key: &str) -> Result<bool, EddyError> {
        self.writable("remove state")?;
        let existed = self.state_get(key)?.is_some();
        self.common.shared.effects.lock().delete(key)?;
        Ok(existed)
    }

    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, EddyError> {
        let shard = self.common.caller.inner.shard(self.start.turn.shard);
        let effects = self.common.shared.effects.lock();
        let (agent, durability) = (&self.start.agent, self.policy.durability);
        let range = Range {
            prefix,
            after,
            limit,
        };
        let newer = shard
            .lock()
            .core
            .reads(agent, durability, &effects)
            .range(range);
        Ok(entries(newer.over(agent, &shard.view, range)?))
    }

    fn send(
        &mut self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        self.common.send(agent_type, key, method, argument)
    }

    fn set_timer(
        &mut self,
        name: &str,
        milliseconds: u64,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        self.writable("set a timer")?;
        self.common.app.account.may_store()?;
        let method = MethodName::new(method)?;
        self.common
            .caller
            .inner
            .catalog
            .method(&self.start.agent, &method)?;
        let delay = Duration::from_millis(milliseconds);
        let mut effects = self.common.shared.effects.lock();
        effects.set_timer(name, self.common.began, delay, method, argument)
    }

    fn cancel_timer(&mut self, name: &str) -> Result<bool, EddyError> {
        self.writable("cancel a timer")?;
        let mut effects = self.common.shared.effects.lock();
        let was_set = match effects.timers.get(name) {
            Some(own) => own.is_some(),
            None => {
                let shard = self.common.caller.inner.shard(self.start.turn.shard);
                let newer = shard.lock().core.overlay().timer(&self.start.agent, name);
                let timer = newer.or_ask(|| shard.view.timer(&self.start.agent, name))?;
                timer.is_some()
            }
        };
        effects.cancel_timer(name)?;
        Ok(was_set)
    }

    fn start_call(
        &mut self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<PendingFuture, EddyError> {
        self.common.call(agent_type, key, method, argument)
    }

    fn start_invoke(
        &mut self,
        function: &str,
        argument: Bytes,
    ) -> Result<PendingFuture, EddyError> {
        effects::invoke(&self.common.caller, Name::new(function)?, argument)
    }

    fn start_fetch(&mut self, request: HttpRequest) -> Result<PendingFuture, EddyError> {
        effects::fetch(&self.common.caller, request)
    }

    fn start_sleep(&mut self, milliseconds: u64) -> Result<PendingFuture, EddyError> {
        Ok(effects::sleep(milliseconds))
    }

    fn invocation(&self) -> String {
        self.start.id.to_string()
    }

    fn now(&self) -> u64 {
        self.common.began.0
    }

    fn random(&mut self) -> u64 {
        clock::random()
    }

    fn env(&self, name: &str) -> Option<String> {
        self.common.app.env.get(name).cloned()
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        let (common, start) = (&self.common, &self.start);
        common.shared.log(&common.caller.inner, level, message, || {
            who(&common.app, &start.agent, &start.method, start.id)
        });
    }
}
