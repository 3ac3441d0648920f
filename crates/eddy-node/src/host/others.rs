//! What a function may do while it runs, and a query on a snapshot: the same imports as for a turn
//! (`host.rs`), without state of their own to write.

use super::{Common, TurnShared, entries, from_core, who};
use crate::catalog::App;
use crate::clock;
use crate::effects::{self, Caller};
use crate::facade::InvocationTarget;
use crate::inner::Inner;
use crate::logs::LogSource;
use bytes::Bytes;
use eddy_core::{MessageId, Newer, Range, StoreView as _};
use eddy_types::{
    AgentId, EddyError, ErrorCode, FunctionId, MethodName, Name, TenantId, Timestamp,
};
use eddy_wasm::{Entry, HttpRequest, LogLevel, PendingFuture, TurnHost, Value};
use std::sync::Arc;

/// A running function.
pub(crate) struct FunctionHost {
    common: Common,
    function: FunctionId,
}

/// An attempt at an invocation, as the log names it.
pub(crate) fn who_invokes(
    app: &App,
    function: &FunctionId,
    id: MessageId,
) -> (TenantId, LogSource) {
    let target = InvocationTarget::Function(function.name.clone());
    let source = LogSource::new(app.spec.name.clone(), target, id);
    (function.tenant.clone(), source)
}

impl FunctionHost {
    pub(crate) fn new(
        caller: Arc<Caller>,
        function: FunctionId,
        began: Timestamp,
        shared: Arc<TurnShared>,
    ) -> Self {
        let app = caller.app.clone();
        Self {
            function,
            common: Common {
                app,
                shared,
                caller,
                began,
            },
        }
    }
}

fn not_an_agent(what: &str) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidArgument,
        format!("a function has no {what}"),
    )
    .hint("Only agents have state and timers; call or send to one.")
}

impl TurnHost for FunctionHost {
    fn state_get(&mut self, _: &str) -> Result<Option<Value>, EddyError> {
        Err(not_an_agent("state"))
    }

    fn state_set(&mut self, _: String, _: Value) -> Result<(), EddyError> {
        Err(not_an_agent("state"))
    }

    fn state_delete(&mut self, _: &str) -> Result<bool, EddyError> {
        Err(not_an_agent("state"))
    }

    fn state_list(&mut self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entry>, EddyError> {
        Err(not_an_agent("state"))
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

    fn set_timer(&mut self, _: &str, _: u64, _: &str, _: Bytes) -> Result<(), EddyError> {
        Err(not_an_agent("timers"))
    }

    fn cancel_timer(&mut self, _: &str) -> Result<bool, EddyError> {
        Err(not_an_agent("timers"))
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
        self.common.caller.id.to_string()
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
        let common = &self.common;
        common.shared.log(&common.caller.inner, level, message, || {
            who_invokes(&common.app, &self.function, common.caller.id)
        });
    }
}

/// A query over a snapshot: reads only, and nothing leaves.
pub(crate) struct SnapshotHost {
    inner: Arc<Inner>,
    app: Arc<App>,
    agent: AgentId,
    method: MethodName,
    id: MessageId,
    began: Timestamp,
    view: eddy_store::ShardStore,
    shared: Arc<TurnShared>,
}

impl SnapshotHost {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        app: Arc<App>,
        (agent, method, id): (AgentId, MethodName, MessageId),
        began: Timestamp,
        view: eddy_store::ShardStore,
        shared: Arc<TurnShared>,
    ) -> Self {
        Self {
            inner: inner.clone(),
            app,
            agent,
            method,
            id,
            began,
            view,
            shared,
        }
    }
}

fn not_on_a_snapshot<T>() -> Result<T, EddyError> {
    Err(EddyError::new(
        ErrorCode::WriteInQuery,
        "a snapshot query may only read its own state",
    )
    .hint("Run it as an ordinary query: leave out `Eddy-Consistency: snapshot`."))
}

impl TurnHost for SnapshotHost {
    fn state_get(&mut self, key: &str) -> Result<Option<Value>, EddyError> {
        Ok(self.view.state(&self.agent, key)?.map(from_core))
    }

    fn state_set(&mut self, _: String, _: Value) -> Result<(), EddyError> {
        not_on_a_snapshot()
    }

    fn state_delete(&mut self, _: &str) -> Result<bool, EddyError> {
        not_on_a_snapshot()
    }

    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, EddyError> {
        let range = Range {
            prefix,
            after,
            limit,
        };
        let found = Newer::default().over(&self.agent, &self.view, range)?;
        Ok(entries(found))
    }

    fn send(&mut self, _: &str, _: &str, _: &str, _: Bytes) -> Result<(), EddyError> {
        not_on_a_snapshot()
    }

    fn set_timer(&mut self, _: &str, _: u64, _: &str, _: Bytes) -> Result<(), EddyError> {
        not_on_a_snapshot()
    }

    fn cancel_timer(&mut self, _: &str) -> Result<bool, EddyError> {
        not_on_a_snapshot()
    }

    fn start_call(
        &mut self,
        _: &str,
        _: &str,
        _: &str,
        _: Bytes,
    ) -> Result<PendingFuture, EddyError> {
        not_on_a_snapshot()
    }

    fn start_invoke(&mut self, _: &str, _: Bytes) -> Result<PendingFuture, EddyError> {
        not_on_a_snapshot()
    }

    fn start_fetch(&mut self, _: HttpRequest) -> Result<PendingFuture, EddyError> {
        not_on_a_snapshot()
    }

    fn start_sleep(&mut self, milliseconds: u64) -> Result<PendingFuture, EddyError> {
        Ok(effects::sleep(milliseconds))
    }

    fn invocation(&self) -> String {
        self.id.to_string()
    }

    fn now(&self) -> u64 {
        self.began.0
    }

    fn random(&mut self) -> u64 {
        clock::random()
    }

    fn env(&self, name: &str) -> Option<String> {
        self.app.env.get(name).cloned()
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        self.shared.log(&self.inner, level, message, || {
            who(&self.app, &self.agent, &self.method, self.id)
        });
    }
}
