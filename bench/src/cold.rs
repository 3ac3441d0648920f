//! What it costs an agent to come to life, and to stay there.

use crate::http::Connection;
use crate::load::Measured;
use crate::node;
use crate::table::Rows;
use anyhow::{Result, bail};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Agents that are woken in a round.
const AGENTS: usize = 200;
/// Keys in the state of each.
const KEYS: usize = 10;
/// Agents that live side by side when memory is measured.
const LIVE: usize = 1_000;
/// How long the node may take to let all agents go.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(rows: &mut Rows) -> Result<()> {
    let kinds = [("counter", "Rust"), ("tsCounter", "TypeScript")];
    let node = node::start("500ms").await?;
    let connection = Connection::open(node.address).await?;
    for (agent, what) in kinds {
        let times = wake_all(&connection, agent).await?;
        rows.add(
            &format!("cold activation, {KEYS} keys, {what}, c1"),
            None,
            Measured::of(times),
        );
    }
    drop(node);
    for (agent, what) in kinds {
        let node = node::start("1h").await?;
        let connection = Connection::open(node.address).await?;
        // The first ones bring in what all share.
        live(&connection, agent, 0..50).await?;
        let before = node.resident()?;
        live(&connection, agent, 50..50 + LIVE).await?;
        let bytes = node.resident()?.saturating_sub(before) as f64 / LIVE as f64;
        rows.add_memory(&format!("memory per live agent, {what}"), bytes);
    }
    Ok(())
}

/// Agents with state are passivated; then each gets one message, whose reply reads its state.
async fn wake_all(connection: &Connection, agent: &str) -> Result<Vec<Duration>> {
    for n in 0..AGENTS {
        for key in 0..KEYS {
            let path = format!("/v1/agents/{agent}/cold{n}/put");
            let body = format!(r#"{{"key":"k{key}","bytes":100}}"#);
            connection.post(&path, body.into()).await?;
        }
    }
    all_passivated(connection).await?;
    let mut times = Vec::with_capacity(AGENTS);
    for n in 0..AGENTS {
        let path = format!("/v1/agents/{agent}/cold{n}/value");
        let began = Instant::now();
        connection.post(&path, Bytes::from_static(b"null")).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

async fn all_passivated(connection: &Connection) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let metrics = connection.get("/metrics").await?;
        let metrics = String::from_utf8_lossy(&metrics).into_owned();
        if metrics.lines().any(|line| line == "eddy_active_agents 0") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("agents stay live");
}

async fn live(connection: &Connection, agent: &str, which: std::ops::Range<usize>) -> Result<()> {
    for n in which {
        let path = format!("/v1/agents/{agent}/m{n}/increment");
        connection.post(&path, Bytes::from_static(b"{}")).await?;
    }
    Ok(())
}
