//! A real node: the release binary on a fresh data folder, over HTTP.

use crate::Plan;
use crate::http::Connection;
use crate::load::{self, Measured};
use crate::table::Rows;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const FLUSH: &str = "floor: append 4 KiB + fdatasync, 1 thread";

/// A running node, killed when dropped.
struct Node {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench lies in the project's root")
}

/// The binary lies beside this one.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().context("a program has a folder")?.join("eddy");
    if !path.exists() {
        bail!("{} is not built: cargo build --release", path.display());
    }
    Ok(path)
}

async fn start(apps: &[PathBuf]) -> Result<Node> {
    let data = tempfile::tempdir()?;
    let mut command = Command::new(binary()?);
    command
        .args(["up", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path());
    for app in apps {
        command.arg("--app").arg(app);
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let line = BufReader::new(stdout)
        .lines()
        .next_line()
        .await?
        .context("the node ended")?;
    let ready: serde_json::Value = serde_json::from_str(&line)?;
    let url = ready["url"].as_str().context("no url")?;
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()?;
    Ok(Node {
        child,
        address,
        _data: data,
    })
}

pub(crate) async fn measure(plan: Plan, rows: &mut Rows) -> Result<()> {
    let guest = project().join("crates/eddy-wasm/assets/bench-guest.wasm");
    let counter = tempfile::tempdir()?;
    let script = counter.path().join("ts_counter.ts");
    std::fs::write(&script, TS_COUNTER)?;
    let node = start(&[guest, script]).await?;
    let at = node.address;
    for clients in [1, 32] {
        let floor = format!("floor: bare hyper, c{clients}");
        let hello = post(at, plan, clients, |_| "/v1/functions/hello".into(), "null").await?;
        rows.add(
            &format!("hello function, fresh instance, c{clients}"),
            Some(&floor),
            hello,
        );
    }
    let kib = format!("\"{}\"", "x".repeat(1022));
    for clients in [1, 32] {
        let floor = format!("floor: raw TCP 1 KiB ping-pong, c{clients}");
        let echo = post(
            at,
            plan,
            clients,
            |_| "/v1/agents/counter/e/echo".into(),
            &kib,
        )
        .await?;
        rows.add(
            &format!("1 KiB query echo, warm agent, c{clients}"),
            Some(&floor),
            echo,
        );
    }
    for clients in [1, 32] {
        let path = |_| "/v1/agents/counter/one/increment".into();
        let increment = post(at, plan, clients, path, "null").await?;
        rows.add(
            &format!("durable increment, 1 agent, c{clients}"),
            Some(FLUSH),
            increment,
        );
    }
    let hundred = |client| format!("/v1/agents/counter/h{client}/increment");
    let increment = post(at, plan, 100, hundred, "null").await?;
    rows.add(
        "durable increment, 100 agents, c100",
        Some(FLUSH),
        increment,
    );
    let hundred = |client| format!("/v1/agents/tsCounter/h{client}/increment");
    let increment = post(at, plan, 100, hundred, "{}").await?;
    rows.add(
        "durable increment, TypeScript, 100 agents, c100",
        Some(FLUSH),
        increment,
    );
    rows.add(
        "first message to a new agent (cold), c1",
        None,
        cold(at, plan, "counter").await?,
    );
    rows.add(
        "first message, TypeScript (cold), c1",
        None,
        cold(at, plan, "tsCounter").await?,
    );
    for (agent, what) in [("counter", "Rust"), ("tsCounter", "TypeScript")] {
        let bytes = memory_per_agent(&node, agent).await?;
        rows.add_memory(&format!("memory per live agent, {what}"), bytes);
    }
    Ok(())
}

async fn post(
    at: SocketAddr,
    plan: Plan,
    clients: usize,
    path: impl Fn(usize) -> String,
    body: &str,
) -> Result<Measured> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    load::run(clients, plan.time, |client| {
        let (path, body) = (path(client), body.clone());
        async move {
            let connection = Connection::open(at).await?;
            connection.post(&path, body.clone()).await?; // warm
            Ok(move || {
                let (connection, path, body) = (connection.clone(), path.clone(), body.clone());
                async move { connection.post(&path, body).await.map(drop) }
            })
        }
    })
    .await
}

/// A query to an agent that never was: an instance is made and the reply leaves.
async fn cold(at: SocketAddr, plan: Plan, agent: &'static str) -> Result<Measured> {
    let next = Arc::new(AtomicUsize::new(0));
    load::run(1, plan.time / 2, |_| {
        let next = next.clone();
        async move {
            let connection = Connection::open(at).await?;
            Ok(move || {
                let (connection, n) = (connection.clone(), next.fetch_add(1, Ordering::Relaxed));
                let started = Instant::now();
                async move {
                    let path = format!("/v1/agents/{agent}/cold-{started:?}-{n}/value");
                    let path = path.replace([' ', '{', '}', ':', ','], "");
                    connection
                        .post(&path, Bytes::from_static(b"null"))
                        .await
                        .map(drop)
                }
            })
        }
    })
    .await
}

/// Resident memory that each of many live agents adds.
async fn memory_per_agent(node: &Node, agent: &str) -> Result<f64> {
    const AGENTS: usize = 1_000;
    let connection = Connection::open(node.address).await?;
    let before = resident(node)?;
    for n in 0..AGENTS {
        let path = format!("/v1/agents/{agent}/m{n}/increment");
        connection.post(&path, Bytes::from_static(b"{}")).await?;
    }
    let after = resident(node)?;
    Ok(after.saturating_sub(before) as f64 / AGENTS as f64)
}

fn resident(node: &Node) -> Result<u64> {
    let pid = node.child.id().context("the node ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?;
    Ok(kib * 1024)
}

const TS_COUNTER: &str = r#"
import { agent, query } from "eddy";
export const tsCounter = agent({
  increment(ctx, { by = 1 } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
});
"#;
