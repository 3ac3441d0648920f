//! A host just good enough to try the runtime: state in memory, effects that answer after a while,
//! a log that is kept. Only for `probe`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Engine, Result, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "js-runtime",
    imports: {
        "eddy:platform/effects.wait": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: { "eddy:platform/effects.pending": Pending },
});

use eddy::platform::{context, effects, outbox, state, types};
use types::Failure;

/// An effect: answers when its time has come.
pub struct Pending {
    at: Instant,
    outcome: Option<std::result::Result<effects::Outcome, Failure>>,
}

/// The node as a guest sees it.
pub struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    /// The agent's state.
    pub state: BTreeMap<String, types::Value>,
    /// Sends, timers and log lines, as text.
    pub seen: Vec<String>,
    /// Whether the turn is a query.
    pub read_only: bool,
    live: usize,
}

impl Host {
    fn new() -> Self {
        let mut wasi = WasiCtxBuilder::new();
        Self {
            wasi: wasi.inherit_stderr().build(),
            table: ResourceTable::new(),
            state: BTreeMap::new(),
            seen: Vec::new(),
            read_only: false,
            live: 0,
        }
    }

    /// Effects that were started and neither dropped nor finished with.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    fn start(
        &mut self,
        ms: u64,
        outcome: std::result::Result<effects::Outcome, Failure>,
    ) -> Result<std::result::Result<Resource<Pending>, Failure>> {
        self.live += 1;
        let at = Instant::now() + Duration::from_millis(ms);
        Ok(Ok(self.table.push(Pending {
            at,
            outcome: Some(outcome),
        })?))
    }
}

/// A failure with a code and a message.
#[must_use]
pub fn failure(code: &str, message: &str) -> Failure {
    Failure {
        code: code.into(),
        message: message.into(),
        stack: None,
        status: None,
        details: None,
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for Host {}

impl state::Host for Host {
    fn get(&mut self, key: String) -> Result<std::result::Result<Option<types::Value>, Failure>> {
        Ok(Ok(self.state.get(&key).cloned()))
    }
    fn set(
        &mut self,
        key: String,
        value: types::Value,
    ) -> Result<std::result::Result<(), Failure>> {
        if self.read_only {
            return Ok(Err(failure("write-in-query", "a query cannot write")));
        }
        self.state.insert(key, value);
        Ok(Ok(()))
    }
    fn delete(&mut self, key: String) -> Result<std::result::Result<bool, Failure>> {
        Ok(Ok(self.state.remove(&key).is_some()))
    }
    fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<std::result::Result<Vec<(String, types::Value)>, Failure>> {
        let after = after.unwrap_or_default();
        let entries = self
            .state
            .iter()
            .filter(|(k, _)| k.starts_with(&prefix) && **k > after);
        Ok(Ok(entries
            .take(limit as usize)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()))
    }
}

impl effects::HostPending for Host {
    fn take(
        &mut self,
        pending: Resource<Pending>,
    ) -> Result<Option<std::result::Result<effects::Outcome, Failure>>> {
        let pending = self.table.get_mut(&pending)?;
        Ok(if pending.at <= Instant::now() {
            pending.outcome.take()
        } else {
            None
        })
    }
    fn drop(&mut self, pending: Resource<Pending>) -> Result<()> {
        self.live -= 1;
        self.table.delete(pending)?;
        Ok(())
    }
}

impl effects::Host for Host {
    fn call(
        &mut self,
        agent: String,
        key: String,
        method: String,
        argument: Vec<u8>,
    ) -> Result<std::result::Result<Resource<Pending>, Failure>> {
        if agent == "nobody" {
            return Ok(Err(failure(
                "unknown-agent-type",
                "there is no agent type nobody",
            )));
        }
        if method == "fail" {
            let mut failed = failure("out-of-stock", "none left");
            failed.status = Some(409);
            failed.details = Some(br#"{"left":0}"#.to_vec());
            return self.start(5, Err(failed));
        }
        let argument = String::from_utf8_lossy(&argument);
        let text = format!(r#"{{"to":"{agent}/{key}.{method}","arg":{argument}}}"#);
        self.start(50, Ok(effects::Outcome::Json(text.into_bytes())))
    }
    fn invoke(
        &mut self,
        function: String,
        argument: Vec<u8>,
    ) -> Result<std::result::Result<Resource<Pending>, Failure>> {
        let argument = String::from_utf8_lossy(&argument);
        let text = format!(r#"{{"fn":"{function}","arg":{argument}}}"#);
        self.start(50, Ok(effects::Outcome::Json(text.into_bytes())))
    }
    fn fetch(
        &mut self,
        request: effects::HttpRequest,
    ) -> Result<std::result::Result<Resource<Pending>, Failure>> {
        if request.url.contains("denied") {
            return Ok(Err(failure(
                "capability-denied",
                "the manifest does not allow that host",
            )));
        }
        let body = format!("{} {} {:?}", request.method, request.url, request.headers);
        let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        let response = effects::HttpResponse {
            status: 201,
            headers,
            body: body.into_bytes(),
        };
        self.start(50, Ok(effects::Outcome::Http(response)))
    }
    fn sleep(
        &mut self,
        milliseconds: u64,
    ) -> Result<std::result::Result<Resource<Pending>, Failure>> {
        self.start(milliseconds, Ok(effects::Outcome::Elapsed))
    }
    async fn wait(
        &mut self,
        pendings: Vec<Resource<Pending>>,
    ) -> Result<std::result::Result<Vec<u32>, Failure>> {
        let mut times = Vec::new();
        for pending in &pendings {
            times.push(self.table.get(pending)?.at);
        }
        let first = *times.iter().min().expect("the runtime waits for something");
        tokio::time::sleep_until(first.into()).await;
        let now = Instant::now();
        let ready = times.iter().enumerate().filter(|(_, at)| **at <= now);
        Ok(Ok(ready
            .map(|(index, _)| u32::try_from(index).expect("few"))
            .collect()))
    }
}

impl outbox::Host for Host {
    fn send(
        &mut self,
        agent: String,
        key: String,
        method: String,
        argument: Vec<u8>,
    ) -> Result<std::result::Result<(), Failure>> {
        let argument = String::from_utf8_lossy(&argument);
        self.seen
            .push(format!("send {agent}/{key}.{method} {argument}"));
        Ok(Ok(()))
    }
    fn set_timer(
        &mut self,
        name: String,
        milliseconds: u64,
        method: String,
        argument: Vec<u8>,
    ) -> Result<std::result::Result<(), Failure>> {
        let argument = String::from_utf8_lossy(&argument);
        self.seen
            .push(format!("timer {name} {milliseconds} {method} {argument}"));
        Ok(Ok(()))
    }
    fn cancel_timer(&mut self, name: String) -> Result<std::result::Result<bool, Failure>> {
        self.seen.push(format!("cancel {name}"));
        Ok(Ok(true))
    }
}

impl context::Host for Host {
    fn invocation(&mut self) -> Result<String> {
        Ok("inv_1".to_owned())
    }
    fn now(&mut self) -> Result<u64> {
        Ok(1_700_000_000_000)
    }
    fn random(&mut self) -> Result<u64> {
        Ok(0x8000_0000_0000_0000)
    }
    fn env(&mut self, name: String) -> Result<Option<String>> {
        Ok((name == "REGION").then(|| "north".to_owned()))
    }
    fn log(&mut self, level: context::LogLevel, message: String) -> Result<()> {
        let level = format!("{level:?}").to_lowercase();
        let level = level.rsplit(':').next().unwrap_or_default();
        self.seen.push(format!("{level} {message}"));
        Ok(())
    }
}

/// The runtime, linked and ready for instances.
pub struct Runtime {
    engine: Engine,
    linked: JsRuntimePre<Host>,
}

impl Runtime {
    /// Compiles and links the component.
    pub fn new(engine: &Engine, wasm: &[u8]) -> Result<Self> {
        let component = Component::new(engine, wasm)?;
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        JsRuntime::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        let linked = JsRuntimePre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self {
            engine: engine.clone(),
            linked,
        })
    }

    /// A fresh instance.
    pub async fn instance(&self) -> Result<(Store<Host>, JsRuntime)> {
        let mut store = Store::new(&self.engine, Host::new());
        let instance = self.linked.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }
}
