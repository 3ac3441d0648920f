//! Many agents: on disk, and live. Once in a run, because it takes minutes.

use crate::bench::Bench;
use crate::link::{Link, Target};
use crate::node::Node;
use crate::process;
use crate::rows::{Figures, Side};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Callers that create agents side by side.
const LOADERS: usize = 512;
/// The longest that creating may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Agents that live side by side when memory is measured.
const LIVE: usize = 10_000;
/// Those that come before, because the first ones bring in what all share.
const FIRST: usize = 50;
/// From the last passivation until memory is looked at.
const SETTLE: Duration = Duration::from_secs(45);
/// Agents that are woken after the restart.
const WOKEN: usize = 500;

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    on_disk(bench).await?;
    for (id, what, agent) in [
        ("live.rust", "Rust", "counter"),
        ("live.ts", "TypeScript", "tsCounter"),
    ] {
        live(bench, id, what, agent).await?;
    }
    Ok(())
}

async fn on_disk(bench: &mut Bench) -> Result<()> {
    let folder = process::folder()?;
    let (node, _) = Node::on(folder.path(), Some("500ms"))?;
    let agents = bench.plan.agents;
    let title = "resident memory of a new node, two apps deployed";
    let work = async { Ok(Figures::memory(node.resident()? as f64)) };
    bench.row(Side::Eddy, "scale.empty", title, work).await;
    let title = format!("create agents with state: {agents}");
    let work = create(node.address(), "counter", 0..agents);
    if !bench.row(Side::Eddy, "scale.create", &title, work).await {
        return Ok(());
    }
    let work = async {
        node.all_passivated().await?;
        // The allocator gives free pages back when it is used next, at the latest at a checkpoint.
        tokio::time::sleep(SETTLE).await;
        Ok(Figures::memory(node.resident()? as f64))
    };
    let title = "resident memory with all of them passivated, 45 s later";
    bench.row(Side::Eddy, "scale.passive", title, work).await;
    node.stop().await?;
    let (node, took) = Node::on(folder.path(), None)?;
    let title = "`eddy up` on them: from start to ready";
    let work = async { Ok(Figures::time(took)) };
    bench.row(Side::Eddy, "scale.ready", title, work).await;
    let title = "resident memory after the restart";
    let work = async { Ok(Figures::memory(node.resident()? as f64)) };
    bench.row(Side::Eddy, "scale.restarted", title, work).await;
    let title = "one of them anywhere: first reply after the restart";
    let work = wake(node.address(), agents);
    bench.row(Side::Eddy, "scale.random", title, work).await;
    Ok(())
}

/// Each agent commits one turn. The rate is that of the callers together.
async fn create(at: SocketAddr, agent: &'static str, which: Range<usize>) -> Result<Figures> {
    let link = Link::connect(at).await?;
    let next = Arc::new(AtomicUsize::new(which.start));
    let began = Instant::now();
    let mut loaders = tokio::task::JoinSet::new();
    for _ in 0..LOADERS {
        let (link, next, end) = (link.clone(), next.clone(), which.end);
        loaders.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= end {
                    return anyhow::Ok(());
                }
                if n > 0 && n % 100_000 == 0 {
                    eprintln!("    {n}");
                }
                let target = Target::new(agent, format!("m{n}"), "increment");
                link.call(&target, Bytes::from_static(b"{}")).await?;
            }
        });
    }
    let all = async {
        while let Some(loader) = loaders.join_next().await {
            loader??;
        }
        anyhow::Ok(())
    };
    let done = tokio::time::timeout(PATIENCE, all).await;
    done.context("creating the agents takes too long")??;
    Ok(Figures {
        per_second: Some(which.len() as f64 / began.elapsed().as_secs_f64()),
        ..Figures::default()
    })
}

async fn wake(at: SocketAddr, agents: usize) -> Result<Figures> {
    /// A prime, so that those asked lie all over.
    const STRIDE: usize = 999_983;
    let link = Link::connect(at).await?;
    let mut times = Vec::with_capacity(WOKEN);
    for n in 1..=WOKEN {
        let key = format!("m{}", n * STRIDE % agents);
        let target = Target::new("counter", key, "value");
        let began = Instant::now();
        link.call(&target, Bytes::from_static(b"null")).await?;
        times.push(began.elapsed());
    }
    Figures::of(times)
}

async fn live(bench: &mut Bench, id: &'static str, what: &str, agent: &'static str) -> Result<()> {
    let node = Node::start("1h")?;
    let agents = LIVE.min(bench.plan.agents).max(2 * FIRST);
    let title = format!("memory of each of {agents} live agents, {what}, PSS");
    grown(bench, &node, (id, &title), agent, agents).await
}

/// What each of so many live agents adds to the node's memory.
pub(super) async fn grown(
    bench: &mut Bench,
    node: &Node,
    (id, title): (&'static str, &str),
    agent: &'static str,
    agents: usize,
) -> Result<()> {
    let mut active = 0;
    let work = async {
        create(node.address(), agent, 0..FIRST).await?;
        let before = node.proportional()?;
        create(node.address(), agent, FIRST..agents).await?;
        let grown = node.proportional()?.saturating_sub(before);
        active = node.active().await?;
        Ok(Figures::memory(grown as f64 / (agents - FIRST) as f64))
    };
    bench.row(Side::Eddy, id, title, work).await;
    if active < agents as u64 {
        bench.note(
            id,
            format!("only {active} stayed live: this is not the figure that is meant"),
        );
        bench.invalid(id);
    }
    Ok(())
}
