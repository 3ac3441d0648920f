//! What a tenant notices of another one that attacks their node: the time of its own durable increment alone, and beside
//! each attack. Once in a run. The attacker's client shares the processors with the node, so read the ratios as what
//! is noticed at most.

use crate::bench::Bench;
use crate::http::{Connection, Posts};
use crate::load;
use crate::node::{self, Node};
use crate::process;
use crate::rows::{Figures, Side};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const ALONE: &str = "neighbour.alone";
/// The longest that a turn of the attacker lasts: when this has passed, nothing of an attack runs any more.
const LASTS: Duration = Duration::from_secs(1);

/// An attack: a function of the attacker that is invoked again whenever it has ended, in some places at once.
struct Attack {
    row: &'static str,
    what: &'static str,
    function: &'static str,
    argument: &'static str,
    /// Places for each processor.
    places: usize,
}

const ATTACKS: [Attack; 4] = [
    Attack {
        row: "neighbour.spin",
        what: "guests that compute without end",
        function: "spin",
        argument: "null",
        places: 2,
    },
    Attack {
        row: "neighbour.memory",
        what: "guests that take all memory they get",
        function: "hog",
        argument: "null",
        places: 2,
    },
    Attack {
        row: "neighbour.log",
        what: "guests that log without end",
        function: "log",
        argument: "\"lines\"",
        places: 2,
    },
    Attack {
        row: "neighbour.flood",
        what: "a flood of requests",
        function: "look",
        argument: "null",
        places: 16,
    },
];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let node = Node::empty()?;
    let folder = process::folder()?;
    let at = node.address();
    let operator = token(at, None, &json!({"role": "operator"})).await?;
    let neighbour = tenant(at, &operator, "neighbour").await?;
    let attacker = tenant(at, &operator, "attacker").await?;
    let apps = folder.path();
    deploy(at, apps, &neighbour, "bench")?;
    deploy(at, apps, &attacker, "hostile")?;

    let time = bench.plan.time;
    let title = "durable increment, HTTP, c1: the tenant alone";
    let work = increments(at, &neighbour, time);
    bench.row(Side::Eddy, ALONE, title, work).await;
    for attack in &ATTACKS {
        let under_way = UnderWay::begin(at, &attacker, attack).await?;
        let title = format!("the same beside another tenant: {}", attack.what);
        let work = increments(at, &neighbour, time);
        bench.row(Side::Eddy, attack.row, &title, work).await;
        let note = under_way.ends(attack).await?;
        bench.note(attack.row, note);
    }
    Ok(())
}

async fn increments(at: SocketAddr, token: &str, time: Duration) -> Result<Figures> {
    load::run(1, time, |_| async {
        let connection = Connection::open(at).await?.with_token(token);
        let path = "/v1/agents/counter/one/increment".to_owned();
        Ok(Posts::over(connection, path, Bytes::from_static(b"{}")))
    })
    .await
}

/// An attack that goes on until this is dropped.
struct UnderWay {
    places: Vec<JoinHandle<()>>,
    /// What it was answered so far.
    answers: Arc<AtomicU64>,
}

impl UnderWay {
    /// Begins in every place, and waits until one has begun again: from then on all are at it.
    async fn begin(at: SocketAddr, token: &str, attack: &'static Attack) -> Result<Self> {
        let mut begun = Self {
            places: Vec::new(),
            answers: Arc::default(),
        };
        let processors = std::thread::available_parallelism()?.get();
        for _ in 0..attack.places * processors {
            let mut connection = Connection::open(at).await?.with_token(token);
            let answers = begun.answers.clone();
            begun.places.push(tokio::spawn(async move {
                let path = format!("/v1/functions/{}", attack.function);
                let argument = Bytes::from_static(attack.argument.as_bytes());
                let post = Method::POST;
                while connection
                    .send(post.clone(), &path, None, argument.clone())
                    .await
                    .is_ok()
                {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        for _ in 0..100 {
            if begun.answers.load(Ordering::Relaxed) > 0 {
                return Ok(begun);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("{} were never answered", attack.what)
    }

    /// Ends it, and waits until the node is quiet again. Says how much there was of it.
    async fn ends(self, attack: &Attack) -> Result<String> {
        let places = self.places.len();
        let over = self.places.iter().filter(|place| place.is_finished());
        let over = over.count();
        ensure!(over == 0, "{}: {over} of {places} gave up", attack.what);
        let answers = self.answers.load(Ordering::Relaxed);
        drop(self);
        tokio::time::sleep(LASTS + LASTS / 2).await;
        Ok(format!("{places} at once, {answers} of them ended"))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.places.iter().for_each(JoinHandle::abort);
    }
}

/// Makes a tenant, and answers with an admin's token of it.
async fn tenant(at: SocketAddr, operator: &str, name: &str) -> Result<String> {
    let path = format!("/v1/tenants/{name}");
    ask(at, Some(operator), (Method::PUT, &path), &json!({})).await?;
    token(
        at,
        Some(operator),
        &json!({"role": "admin", "tenant": name}),
    )
    .await
}

async fn token(at: SocketAddr, bearer: Option<&str>, new: &Value) -> Result<String> {
    let made = ask(at, bearer, (Method::POST, "/v1/tokens"), new).await?;
    Ok(made["token"].as_str().context("no token")?.to_owned())
}

async fn ask(
    at: SocketAddr,
    bearer: Option<&str>,
    (method, path): (Method, &str),
    body: &Value,
) -> Result<Value> {
    let mut connection = Connection::open(at).await?;
    if let Some(bearer) = bearer {
        connection = connection.with_token(bearer);
    }
    let body = Bytes::from(body.to_string());
    let (status, answer) = connection.send(method, path, None, body).await?;
    let said = String::from_utf8_lossy(&answer);
    ensure!(status.is_success(), "{path}: {status} {said}");
    Ok(serde_json::from_slice(&answer)?)
}

/// Deploys a guest of the tests for a tenant.
fn deploy(at: SocketAddr, folder: &Path, token: &str, guest: &str) -> Result<()> {
    let app = folder.join(guest);
    std::fs::create_dir_all(&app)?;
    let wasm = format!("crates/eddy-wasm/assets/{guest}-guest.wasm");
    std::fs::copy(node::project().join(wasm), app.join("guest.wasm"))?;
    let lasts = LASTS.as_secs();
    let manifest = format!(
        "name = \"{guest}\"\n[components.main]\npath = \"guest.wasm\"\n[defaults.functions]\ntimeout = \"{lasts}s\"\n"
    );
    std::fs::write(app.join("eddy.toml"), manifest)?;
    let mut command = Command::new(node::binary()?);
    command
        .args(["--url", &format!("http://{at}"), "deploy"])
        .arg(&app)
        .env("EDDY_TOKEN", token)
        .stdin(Stdio::null());
    let out = tokio::task::block_in_place(|| command.output())?;
    let said = String::from_utf8_lossy(&out.stderr);
    // The command itself would show the token.
    ensure!(out.status.success(), "eddy deploy: {} {said}", out.status);
    Ok(())
}
