//! Guests that attack their node, through a real one over HTTP. None succeeds, and in the same node
//! an innocent tenant is answered rightly all the while; the node keeps its memory bounded.

mod deploys;
mod exhaust;
mod floods;
mod javascript;
mod reach;
mod values;

use crate::binary::command;
use crate::node::{Node, Setup, bench_guest};
use bytes::Bytes;
use eddy_api::{
    App, Base64, CallOptions, Client, Credentials, DeployComponent, DeployRequest, NewToken,
    SetTenant,
};
use eddy_types::{EddyError, ErrorCode};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a node may take at most while it is attacked, in kB: the attacker's memory limit, the spare
/// engine of a compilation, and room.
const MOST_MEMORY: u64 = 3 << 19;
/// What an attack may take with all that the innocent one does meanwhile.
const PATIENCE: Duration = Duration::from_secs(100);

/// A node under attack.
struct Siege {
    node: Node,
    operator: Client,
    attacker: Client,
    innocent: Client,
    /// What the innocent one's counter stands at.
    count: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Siege {
    /// A node with an innocent tenant that has its app, and an attacker that has none yet.
    async fn begin() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let data = dir.path().to_str().expect("a UTF-8 path");
        let made = command(&["token", "create", "--role", "operator", "--data", data])
            .output()
            .expect("the binary runs");
        let token = String::from_utf8(made.stdout).expect("UTF-8");
        let setup = Setup {
            env: vec![
                ("EDDY_SECRET_OTHERS", "the-secret"),
                ("NODE_ONLY", "the-secret"),
            ],
            ..Setup::default()
        };
        let node = Node::with(dir.path(), &setup);
        let operator = as_bearer(&node, token.trim());
        let attacker = tenant(&node, &operator, "attacker").await;
        let innocent = tenant(&node, &operator, "innocent").await;
        let bench = std::fs::read(bench_guest()).expect("it is built");
        let app = wasm_app(json!({"name": "bench"}), bench);
        innocent.deploy(&app).await.expect("it deploys");
        Self {
            node,
            operator,
            attacker,
            innocent,
            count: AtomicU64::new(0),
            _dir: dir,
        }
    }

    /// The same, with the hostile guest deployed.
    async fn with_guest() -> Self {
        let siege = Self::begin().await;
        siege.deploy(manifest(), guest()).await.expect("it deploys");
        siege
    }

    async fn deploy(&self, manifest: Value, wasm: Vec<u8>) -> Result<App, EddyError> {
        self.attacker.deploy(&wasm_app(manifest, wasm)).await
    }

    /// Runs an attack. The innocent one has so many answers meanwhile, each the right one.
    async fn during<T>(&self, rounds: usize, attack: impl Future<Output = T>) -> T {
        let innocent = async {
            for _ in 0..rounds {
                self.is_served().await;
            }
        };
        let both = tokio::time::timeout(PATIENCE, async { tokio::join!(attack, innocent) });
        let (came, ()) = both.await.expect("attack and answers end");
        self.is_served().await;
        came
    }

    /// Attacks that begin again whenever one ends, in so many places at once, and answers of the innocent one while each
    /// place is at it: `rounds` of them, and more until every place has begun again.
    async fn while_attacked(
        &self,
        rounds: usize,
        (places, function, argument): (usize, &str, Value),
    ) {
        let ended = Arc::new(AtomicU64::new(0));
        let attack = |_| {
            let (attacker, ended) = (self.attacker.clone(), ended.clone());
            let (function, argument) = (function.to_owned(), argument.to_string());
            tokio::spawn(async move {
                loop {
                    let (argument, options) = (Bytes::from(argument.clone()), within(2));
                    let answer = attacker.invoke(&function, argument, &options).await;
                    // A place that is refused attacks nobody.
                    let refused = answer.is_err_and(|error| error.code == ErrorCode::Overloaded);
                    ended.fetch_add(u64::from(!refused), Ordering::Relaxed);
                }
            })
        };
        let attacks: Vec<_> = (0..places).map(attack).collect();
        let innocent = async {
            let mut had = 0;
            while had < rounds || ended.load(Ordering::Relaxed) < places as u64 {
                self.is_served().await;
                had += 1;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, innocent).await;
        answered.expect("the innocent one has its answers while the attack goes on");
        for attack in attacks {
            assert!(!attack.is_finished(), "the attack was over before");
            attack.abort();
        }
    }

    /// The innocent one's agent and function answer, and nothing of them was lost.
    async fn is_served(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let options = CallOptions::default();
        let null = || Bytes::from_static(b"null");
        let agent = self
            .innocent
            .call("counter", "own", "increment", null(), &options);
        let agent = agent.await.expect("the innocent one's agent answers");
        assert_eq!(agent.result, format!("{{\"n\":{count}}}"));
        let function = self.innocent.invoke("hello", null(), &options).await;
        assert_eq!(
            function
                .expect("the innocent one's function answers")
                .result,
            "\"hello\""
        );
    }

    /// What a function of the attacker came to, within a second or two.
    async fn invoke(&self, function: &str, argument: Value) -> Result<Value, EddyError> {
        let answer = self
            .attacker
            .invoke(function, Bytes::from(argument.to_string()), &within(2))
            .await?;
        Ok(serde_json::from_slice(&answer.result).unwrap_or(Value::Null))
    }

    /// The same of a method of `hydra/key`.
    async fn call(&self, key: &str, method: &str, argument: Value) -> Result<Value, EddyError> {
        let argument = Bytes::from(argument.to_string());
        let answer = self
            .attacker
            .call("hydra", key, method, argument, &within(2))
            .await?;
        Ok(serde_json::from_slice(&answer.result).unwrap_or(Value::Null))
    }

    /// The end: the innocent one is served, and the node never took more memory than it may.
    async fn ends(self) {
        self.is_served().await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.node.id()));
        let status = status.expect("the node still runs");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let most = most.expect("the kernel says so");
        assert!(most < MOST_MEMORY, "the node took {} MiB", most >> 10);
    }
}

fn as_bearer(node: &Node, token: &str) -> Client {
    let credentials = Credentials {
        token: Some(token.to_owned()),
        ..Credentials::default()
    };
    Client::with(&node.url, &credentials).expect("the node's own URL")
}

/// A tenant with half a GiB for its instances, and an admin of it.
async fn tenant(node: &Node, operator: &Client, name: &str) -> Client {
    let limits = SetTenant {
        memory_bytes: Some(Some(512 << 20)),
        ..SetTenant::default()
    };
    operator.set_tenant(name, &limits).await.expect("a tenant");
    let admin = NewToken {
        tenant: Some(name.to_owned()),
        role: "admin".to_owned(),
        name: String::new(),
        expires_in: None,
    };
    let admin = operator.create_token(&admin).await.expect("a token");
    as_bearer(node, &admin.token)
}

fn within(seconds: u64) -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs(seconds)),
        ..CallOptions::default()
    }
}

/// The attacker's manifest: no turn lasts long, so that the suite does not.
fn manifest() -> Value {
    json!({
        "name": "hostile",
        "env": {"OWN": "own-value"},
        "defaults": {"functions": {"timeout": "2s"}, "agents": {"timeout": "2s"}},
    })
}

fn guest() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../eddy-wasm/assets/hostile-guest.wasm");
    std::fs::read(path).expect("it is built")
}

fn wasm_app(mut manifest: Value, wasm: Vec<u8>) -> DeployRequest {
    manifest["components"] = json!({"main": {"path": "main.wasm"}});
    DeployRequest {
        manifest: to_raw_value(&manifest).expect("it is JSON"),
        components: vec![DeployComponent::Wasm {
            name: "main".to_owned(),
            wasm: Base64(wasm.into()),
        }],
    }
}

fn code<T>(result: Result<T, EddyError>) -> ErrorCode {
    result.map(drop).expect_err("it has to fail").code
}
