//! What a turn costs inside the node, without a network: for profiles. `docs/performance.md` says
//! what was found with it.
//!
//! `cargo run --release --example turns -- [echo|relay|increment|increment32|hello|hello32] [SECONDS]`
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a program of its own that measures with the real clock"
)]

use bytes::Bytes;
use eddy_node::{CallOptions, Code, Deployment, Node, NodeConfig};
use eddy_types::{AgentId, FunctionId, Key, Manifest, MethodName, Name, TenantId};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GUEST: &[u8] = include_bytes!("../../eddy-wasm/assets/bench-guest.wasm");
/// Calls within one turn of `relay`.
const RELAYED: u32 = 500;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let what = args.first().map_or("echo", String::as_str);
    let seconds = args.get(1).map_or(3, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let task = run(what.to_owned(), Duration::from_secs(seconds));
        tokio::spawn(task).await.unwrap();
    });
}

async fn run(what: String, time: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(NodeConfig::new(dir.path())).await.unwrap();
    let manifest: Manifest = serde_json::from_value(serde_json::json!({"name": "bench"})).unwrap();
    let deployment = Deployment {
        manifest,
        components: vec![(
            Name::new("main").unwrap(),
            Code::Wasm(Bytes::from_static(GUEST)),
        )],
    };
    node.deploy(&TenantId::default_tenant(), deployment)
        .await
        .unwrap();
    let clients = if what.ends_with("32") { 32 } else { 1 };
    let work = what.trim_end_matches("32").to_owned();
    let until = Instant::now() + time;
    let tasks: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(client(node.clone(), work.clone(), until)))
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times.sort_unstable();
    let per = if work == "relay" {
        f64::from(RELAYED)
    } else {
        1.0
    };
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e6 / per;
    let rate = times.len() as f64 * per / time.as_secs_f64();
    println!(
        "{what}: p50 {:.2} us, p99 {:.2} us, {rate:.0}/s",
        at(0.5),
        at(0.99)
    );
    node.shutdown(Duration::from_secs(1)).await.unwrap();
}

async fn client(node: Arc<Node>, work: String, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        if began >= until {
            return times;
        }
        once(&node, &work).await;
        times.push(began.elapsed());
    }
}

async fn once(node: &Node, work: &str) {
    let argument = match work {
        "echo" => Bytes::from(format!("\"{}\"", "x".repeat(1022))),
        "relay" => Bytes::from(format!(r#"{{"key":"b","calls":{RELAYED},"bytes":1024}}"#)),
        _ => Bytes::from_static(b"null"),
    };
    let tenant = TenantId::default_tenant();
    let answer = if work == "hello" {
        let function = FunctionId {
            tenant,
            name: Name::new("hello").unwrap(),
        };
        node.invoke(function, argument, CallOptions::default())
            .await
    } else {
        let (kind, key) = (Name::new("counter").unwrap(), Key::new("a").unwrap());
        let agent = AgentId::new(tenant, kind, key);
        let method = MethodName::new(work).unwrap();
        node.call(agent, method, argument, CallOptions::default())
            .await
    };
    answer.unwrap().outcome.unwrap();
}
