//! What the first message to an agent that is not live takes.

use super::posts;
use crate::bench::Bench;
use crate::link::{Link, Target};
use crate::load::{self, Caller};
use crate::node::Node;
use crate::peers::Peer;
use crate::rows::{Figures, Side};
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Agents that are woken in a round.
const AGENTS: usize = 200;
/// Keys in the state of each.
pub(super) const KEYS: usize = 10;

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let node = Node::start("500ms")?;
    for (id, what, agent) in [
        ("cold.rust", "Rust", "counter"),
        ("cold.ts", "TypeScript", "tsCounter"),
    ] {
        let title = format!("cold activation, {KEYS} keys, {what}, link, c1");
        let link = Link::connect(node.address()).await?;
        prepare(&link, agent).await?;
        node.all_passivated().await?;
        let work = wake(&link, agent);
        bench.row(Side::Eddy, id, &title, work).await;
    }
    drop(node);
    let Some(server) = bench.start(Peer::Workerd).await else {
        return Ok(());
    };
    let (at, time) = (server.address, bench.plan.time);
    // The worker itself is warm before the first new object.
    posts(at, 1, Duration::from_millis(100), |_| "/hello".into(), "").await?;
    for (id, title, path) in [
        (
            "workerd.new",
            "workerd: first message to a new object, c1",
            "ping",
        ),
        (
            "workerd.new.inc",
            "workerd: first durable increment of a new object, c1",
            "increment",
        ),
    ] {
        let work = new_objects(at, path, time);
        bench.row(Side::Peer, id, title, work).await;
    }
    Ok(())
}

/// Writes the state of the agents that are woken.
pub(super) async fn prepare(link: &Link, agent: &'static str) -> Result<()> {
    for n in 0..AGENTS {
        let target = Target::new(agent, format!("cold{n}"), "put");
        for key in 0..KEYS {
            let argument = format!(r#"{{"key":"k{key}","bytes":100}}"#);
            link.call(&target, argument.into()).await?;
        }
    }
    Ok(())
}

/// Each agent gets one message, whose reply reads its state.
pub(super) async fn wake(link: &Link, agent: &'static str) -> Result<Figures> {
    let mut times = Vec::with_capacity(AGENTS);
    for n in 0..AGENTS {
        let target = Target::new(agent, format!("cold{n}"), "value");
        let began = Instant::now();
        link.call(&target, Bytes::from_static(b"null")).await?;
        times.push(began.elapsed());
    }
    Figures::of(times)
}

/// A caller that never asks the same object twice.
struct NewObjects {
    connection: crate::http::Connection,
    path: &'static str,
    next: Arc<AtomicUsize>,
}

impl Caller for NewObjects {
    async fn once(&mut self) -> Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = format!("/{0}/{0}{n}", self.path);
        self.connection.post(&path, Bytes::new()).await.map(drop)
    }
}

async fn new_objects(at: SocketAddr, path: &'static str, time: Duration) -> Result<Figures> {
    let next = Arc::new(AtomicUsize::new(0));
    load::run(1, time, |_| {
        let next = next.clone();
        async move {
            Ok(NewObjects {
                connection: crate::http::Connection::open(at).await?,
                path,
                next,
            })
        }
    })
    .await
}
