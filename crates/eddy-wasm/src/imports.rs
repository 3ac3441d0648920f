//! The imports of wit/platform.wit, each handed to the turn's [`TurnHost`]. Nothing is decided
//! here beyond what the interface itself says: checks of JSON, bounds, and the form of errors.

use crate::bindings::eddy::platform::types::Failure;
use crate::bindings::eddy::platform::{context, effects, outbox, state, types};
use crate::host::{HttpRequest, HttpResponse, LogLevel, Outcome, PendingFuture, TurnHost, Value};
use crate::outcome::{checked_argument, to_failure};
use crate::pending::PendingHandle;
use crate::state::State;
use bytes::Bytes;
use eddy_types::{EddyError, limits};
use std::future::poll_fn;
use wasmtime::component::Resource;

impl State {
    /// Runs `act` on the turn's host and puts its error into the guest's form.
    fn with_host<T>(
        &mut self,
        act: impl FnOnce(&mut dyn TurnHost) -> Result<T, EddyError>,
    ) -> Result<T, Failure> {
        let result = self.host().and_then(act);
        self.told(result)
    }

    fn told<T>(&mut self, result: Result<T, EddyError>) -> Result<T, Failure> {
        result.map_err(|error| {
            self.remember(&error);
            to_failure(&error)
        })
    }

    fn start(
        &mut self,
        start: impl FnOnce(&mut dyn TurnHost) -> Result<PendingFuture, EddyError>,
    ) -> Result<Resource<PendingHandle>, Failure> {
        let room = self.pendings.check_room();
        self.told(room)?;
        let future = self.with_host(start)?;
        Ok(Resource::new_own(self.pendings.insert(future)))
    }
}

impl types::Host for State {}

impl state::Host for State {
    fn get(&mut self, key: String) -> Result<Option<types::Value>, Failure> {
        self.with_host(|host| Ok(host.state_get(&key)?.map(to_wit)))
    }

    fn set(&mut self, key: String, value: types::Value) -> Result<(), Failure> {
        self.with_host(|host| {
            let value = match value {
                types::Value::Json(json) => Value::Json(checked_argument(json)?),
                types::Value::Bytes(bytes) => Value::Bytes(bytes.into()),
            };
            host.state_set(key, value)
        })
    }

    fn delete(&mut self, key: String) -> Result<bool, Failure> {
        self.with_host(|host| host.state_delete(&key))
    }

    fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, types::Value)>, Failure> {
        let limit = (limit as usize).min(limits::MAX_PAGE);
        self.with_host(|host| {
            let entries = host.state_list(&prefix, after.as_deref(), limit)?;
            Ok(entries
                .into_iter()
                .map(|(key, value)| (key, to_wit(value)))
                .collect())
        })
    }
}

fn to_wit(value: Value) -> types::Value {
    match value {
        Value::Json(json) => types::Value::Json(json.into()),
        Value::Bytes(bytes) => types::Value::Bytes(bytes.into()),
    }
}

impl outbox::Host for State {
    fn send(
        &mut self,
        agent_type: String,
        key: String,
        method: String,
        argument: Vec<u8>,
    ) -> Result<(), Failure> {
        self.with_host(|host| host.send(&agent_type, &key, &method, checked_argument(argument)?))
    }

    fn set_timer(
        &mut self,
        name: String,
        milliseconds: u64,
        method: String,
        argument: Vec<u8>,
    ) -> Result<(), Failure> {
        self.with_host(|host| {
            host.set_timer(&name, milliseconds, &method, checked_argument(argument)?)
        })
    }

    fn cancel_timer(&mut self, name: String) -> Result<bool, Failure> {
        self.with_host(|host| host.cancel_timer(&name))
    }
}

impl effects::Host for State {
    fn call(
        &mut self,
        agent_type: String,
        key: String,
        method: String,
        argument: Vec<u8>,
    ) -> Result<Resource<PendingHandle>, Failure> {
        self.start(|host| host.start_call(&agent_type, &key, &method, checked_argument(argument)?))
    }

    fn invoke(
        &mut self,
        function: String,
        argument: Vec<u8>,
    ) -> Result<Resource<PendingHandle>, Failure> {
        self.start(|host| host.start_invoke(&function, checked_argument(argument)?))
    }

    fn fetch(&mut self, request: effects::HttpRequest) -> Result<Resource<PendingHandle>, Failure> {
        self.start(|host| {
            host.start_fetch(HttpRequest {
                method: request.method,
                url: request.url,
                headers: request.headers,
                body: request.body.map(Bytes::from),
            })
        })
    }

    fn sleep(&mut self, milliseconds: u64) -> Result<Resource<PendingHandle>, Failure> {
        self.start(|host| host.start_sleep(milliseconds))
    }

    async fn wait(&mut self, pendings: Vec<Resource<PendingHandle>>) -> Result<Vec<u32>, Failure> {
        let handles: Vec<u32> = pendings.iter().map(Resource::rep).collect();
        let ready = poll_fn(|cx| self.pendings.poll(&handles, cx)).await;
        self.told(ready)
    }
}

impl effects::HostPending for State {
    fn take(
        &mut self,
        pending: Resource<PendingHandle>,
    ) -> Option<Result<effects::Outcome, Failure>> {
        let outcome = self.pendings.take(pending.rep())?;
        Some(self.told(outcome).map(outcome_to_wit))
    }

    fn drop(&mut self, pending: Resource<PendingHandle>) -> wasmtime::Result<()> {
        self.pendings.remove(pending.rep());
        Ok(())
    }
}

fn outcome_to_wit(outcome: Outcome) -> effects::Outcome {
    match outcome {
        Outcome::Json(json) => effects::Outcome::Json(json.into()),
        Outcome::Http(HttpResponse {
            status,
            headers,
            body,
        }) => effects::Outcome::Http(effects::HttpResponse {
            status,
            headers,
            body: body.into(),
        }),
        Outcome::Elapsed => effects::Outcome::Elapsed,
    }
}

/// These cannot fail: outside of a turn there is no invocation and no time, and no log.
impl context::Host for State {
    fn invocation(&mut self) -> String {
        self.host()
            .map(|host| host.invocation())
            .unwrap_or_default()
    }

    fn now(&mut self) -> u64 {
        self.host().map(|host| host.now()).unwrap_or_default()
    }

    fn random(&mut self) -> u64 {
        match self.host() {
            Ok(host) => host.random(),
            Err(_) => self.wasi_random(),
        }
    }

    fn env(&mut self, name: String) -> Option<String> {
        match self.host() {
            Ok(host) => host.env(&name),
            Err(_) => self.wasi.env(&name),
        }
    }

    fn log(&mut self, level: context::LogLevel, message: String) {
        self.drain_output();
        let level = match level {
            context::LogLevel::Trace => LogLevel::Trace,
            context::LogLevel::Debug => LogLevel::Debug,
            context::LogLevel::Info => LogLevel::Info,
            context::LogLevel::Warn => LogLevel::Warn,
            context::LogLevel::Error => LogLevel::Error,
        };
        if let Ok(host) = self.host() {
            host.log(level, &message);
        }
    }
}
