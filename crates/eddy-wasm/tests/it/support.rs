//! An engine with a ticking thread, and a host that keeps everything in memory.

use bytes::Bytes;
use eddy_types::{AgentId, EddyError, ErrorCode, Key, MethodName, Name, TenantId};
use eddy_wasm::{
    CacheConfig, CancelToken, Code, Engine, EngineConfig, Entry, Fault, HttpRequest, Instance,
    InstanceLimits, LogLevel, Outcome, PendingFuture, Target, TurnHost, TurnOutcome, Value,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::Barrier;

/// The guest.
pub const GUEST: &[u8] = include_bytes!("../../assets/bench-guest.wasm");

/// An engine for a few instances.
pub fn small() -> EngineConfig {
    EngineConfig {
        max_instances: 64,
        ..EngineConfig::default()
    }
}

/// One engine and one compiled guest for all tests; a thread ticks it for ever.
static SHARED: LazyLock<(Engine, Code)> = LazyLock::new(|| {
    // Each test is a process of its own, and all need the same code.
    let cache = CacheConfig {
        dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"),
        key: [7; 32],
        shared: Some(32),
    };
    let config = EngineConfig {
        cache: Some(cache),
        ..small()
    };
    let engine = Engine::new(config).expect("an engine");
    let ticking = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(1));
            ticking.tick();
        }
    });
    let code = engine.compile(GUEST).expect("the guest compiles");
    (engine, code)
});

pub fn engine() -> &'static Engine {
    &SHARED.0
}

pub fn code() -> &'static Code {
    &SHARED.1
}

/// A fresh instance of the guest.
pub async fn instance() -> Instance {
    code()
        .instantiate(&InstanceLimits::default(), None, &CancelToken::new())
        .await
        .expect("the guest starts")
}

pub fn function(name: &str) -> Target {
    Target::Function(Name::new(name).expect("a name"))
}

pub fn counter(method: &str) -> Target {
    let name = Name::new("counter").expect("a name");
    let agent = AgentId::new(
        TenantId::default_tenant(),
        name,
        Key::new("a").expect("a key"),
    );
    Target::Method(agent, MethodName::new(method).expect("a method"))
}

/// Runs a turn with `host` and no time-out.
pub async fn turn(
    instance: &mut Instance,
    target: &Target,
    argument: &str,
    host: &TestHost,
) -> Result<TurnOutcome, Fault> {
    let argument = Bytes::copy_from_slice(argument.as_bytes());
    instance
        .handle(
            target,
            argument,
            Box::new(host.clone()),
            &CancelToken::new(),
        )
        .await
}

/// Runs a turn that must succeed and gives its JSON.
pub async fn ok(instance: &mut Instance, target: &Target, argument: &str) -> String {
    ok_with(instance, target, argument, &TestHost::default()).await
}

pub async fn ok_with(
    instance: &mut Instance,
    target: &Target,
    argument: &str,
    host: &TestHost,
) -> String {
    let outcome = turn(instance, target, argument, host)
        .await
        .expect("no fault");
    let json = outcome.expect("no error");
    String::from_utf8(json.to_vec()).expect("UTF-8")
}

/// Runs a function on a fresh instance and gives its fault.
pub async fn fault(target: &Target) -> Fault {
    let mut instance = instance().await;
    turn(&mut instance, target, "null", &TestHost::default())
        .await
        .expect_err("a fault")
}

/// What happened in turns. Clones share it.
#[derive(Clone, Default)]
pub struct TestHost(pub Arc<Shared>);

#[derive(Default)]
pub struct Shared {
    pub state: Mutex<BTreeMap<String, Value>>,
    pub log: Mutex<Vec<(LogLevel, String)>>,
    pub sent: Mutex<Vec<String>>,
    pub env: Mutex<BTreeMap<String, String>>,
    pub read_only: std::sync::atomic::AtomicBool,
    /// Calls wait here for each other when it is set.
    pub barrier: Mutex<Option<Arc<Barrier>>>,
    /// Effects under way.
    pub under_way: Arc<AtomicUsize>,
}

/// Counts itself while it lives.
struct UnderWay(Arc<AtomicUsize>);

impl TestHost {
    fn under_way(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(&self.0.under_way))
    }

    pub fn count_under_way(&self) -> usize {
        self.0.under_way.load(Ordering::SeqCst)
    }

    pub fn log_lines(&self) -> Vec<(LogLevel, String)> {
        self.0.log.lock().expect("no panic").clone()
    }

    fn sent(&self, what: String) {
        self.0.sent.lock().expect("no panic").push(what);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

impl TurnHost for TestHost {
    fn state_get(&mut self, key: &str) -> Result<Option<Value>, EddyError> {
        Ok(self.0.state.lock().expect("no panic").get(key).cloned())
    }

    fn state_set(&mut self, key: String, value: Value) -> Result<(), EddyError> {
        if self.0.read_only.load(Ordering::SeqCst) {
            return Err(EddyError::new(ErrorCode::WriteInQuery, "no writes here").hint("a hint"));
        }
        self.0.state.lock().expect("no panic").insert(key, value);
        Ok(())
    }

    fn state_delete(&mut self, key: &str) -> Result<bool, EddyError> {
        Ok(self.0.state.lock().expect("no panic").remove(key).is_some())
    }

    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, EddyError> {
        let state = self.0.state.lock().expect("no panic");
        let matching = state.iter().filter(|(key, _)| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        Ok(matching
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn send(
        &mut self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        self.sent(format!("{agent_type}/{key} {method} {}", text(&argument)));
        Ok(())
    }

    fn set_timer(
        &mut self,
        name: &str,
        milliseconds: u64,
        method: &str,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        self.sent(format!(
            "timer {name} {milliseconds} {method} {}",
            text(&argument)
        ));
        Ok(())
    }

    fn cancel_timer(&mut self, name: &str) -> Result<bool, EddyError> {
        self.sent(format!("no timer {name}"));
        Ok(true)
    }

    fn start_call(
        &mut self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
    ) -> Result<PendingFuture, EddyError> {
        if agent_type == "cycle" {
            return Err(EddyError::new(ErrorCode::CallCycle, "it waits for itself"));
        }
        let under_way = self.under_way();
        let barrier = self.0.barrier.lock().expect("no panic").clone();
        let reply = format!("\"{agent_type}/{key}.{method}({})\"", text(&argument));
        let never = method == "never";
        Ok(Box::pin(async move {
            let _under_way = under_way;
            if let Some(barrier) = barrier {
                barrier.wait().await;
            }
            if never {
                std::future::pending::<()>().await;
            }
            Ok(Outcome::Json(reply.into()))
        }))
    }

    fn start_invoke(&mut self, function: &str, _: Bytes) -> Result<PendingFuture, EddyError> {
        let error = EddyError::new(
            ErrorCode::UnknownFunction,
            format!("no function {function}"),
        );
        Ok(Box::pin(std::future::ready(Err(error))))
    }

    fn start_fetch(&mut self, request: HttpRequest) -> Result<PendingFuture, EddyError> {
        let body = format!("{} {} {:?}", request.method, request.url, request.body);
        let response = eddy_wasm::HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        };
        Ok(Box::pin(std::future::ready(Ok(Outcome::Http(response)))))
    }

    fn start_sleep(&mut self, milliseconds: u64) -> Result<PendingFuture, EddyError> {
        let under_way = self.under_way();
        Ok(Box::pin(async move {
            let _under_way = under_way;
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            Ok(Outcome::Elapsed)
        }))
    }

    fn invocation(&self) -> String {
        "inv".to_owned()
    }

    fn now(&self) -> u64 {
        1234
    }

    fn random(&mut self) -> u64 {
        4
    }

    fn env(&self, name: &str) -> Option<String> {
        self.0.env.lock().expect("no panic").get(name).cloned()
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        self.0
            .log
            .lock()
            .expect("no panic")
            .push((level, message.to_owned()));
    }
}
