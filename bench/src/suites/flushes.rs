//! Whether increments are flushed, seen from outside: strace counts the system calls of a process
//! while it is worked. Times under strace mean nothing and are not kept.

use super::durable::increment_path;
use crate::bench::Bench;
use crate::http::Connection;
use crate::node::Node;
use crate::peers::{Peer, redis};
use crate::process::{self, Server};
use crate::rows::{Figures, Side};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// Increments, one after the other.
const COUNT: usize = 200;
const FLUSHES: &str = "fsync,fdatasync,msync,sync_file_range";

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let node = Node::start("60s")?;
    let at = node.address();
    let path = "/v1/agents/counter/flushes/increment";
    let title = "Eddy: flushes for each increment, c1";
    let work = sequential(node.server(), path.to_owned());
    bench.row(Side::Eddy, "flushes.c1", title, work).await;
    let title = "Eddy: increments for each flush, c32";
    let work = grouped(node.server(), at, path);
    bench.row(Side::Eddy, "flushes.c32", title, work).await;
    drop(node);
    for (peer, id) in [
        (Peer::Redis, "flushes.redis"),
        (Peer::Workerd, "flushes.workerd"),
        (Peer::Restate, "flushes.restate"),
    ] {
        let Some(server) = bench.start(peer).await else {
            continue;
        };
        let title = format!("{}: flushes for each increment, c1", peer.name());
        let work = async {
            if peer == Peer::Redis {
                let counter = Counter::attach(server.pid())?;
                redis::increments(server.address, COUNT)?;
                return Ok(Figures::number(counter.finish()? as f64 / COUNT as f64));
            }
            sequential(&server, increment_path(peer, "flushes")).await
        };
        bench.row(Side::Peer, id, &title, work).await;
    }
    Ok(())
}

async fn sequential(server: &Server, path: String) -> Result<Figures> {
    let mut connection = Connection::open(server.address).await?;
    connection.post(&path, Bytes::new()).await?;
    let counter = Counter::attach(server.pid())?;
    for _ in 0..COUNT {
        connection.post(&path, Bytes::new()).await?;
    }
    Ok(Figures::number(counter.finish()? as f64 / COUNT as f64))
}

async fn grouped(server: &Server, at: SocketAddr, path: &str) -> Result<Figures> {
    let value = "/v1/agents/counter/flushes/value";
    let before = count(at, value).await?;
    let counter = Counter::attach(server.pid())?;
    super::posts(at, 32, Duration::from_secs(1), |_| path.to_owned(), "").await?;
    let flushes = counter.finish()?;
    let increments = count(at, value).await? - before;
    Ok(Figures::number(increments as f64 / flushes.max(1) as f64))
}

/// What the counter stands at.
async fn count(at: SocketAddr, path: &str) -> Result<u64> {
    let answer = Connection::open(at).await?.post(path, Bytes::new()).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    answer["n"].as_u64().context("not a counter")
}

/// strace on all threads of a process.
struct Counter {
    strace: Child,
    summary: tempfile::NamedTempFile,
    /// Open as long as strace may write to it.
    stderr: BufReader<ChildStderr>,
}

impl Counter {
    /// Returns when it counts.
    fn attach(pid: u32) -> Result<Self> {
        let summary = tempfile::NamedTempFile::new()?;
        let mut command = Command::new("strace");
        command
            .args(["-f", "-c", "-e", &format!("trace={FLUSHES}"), "-o"])
            .arg(summary.path())
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut strace = process::spawn(&mut command)?;
        let stderr = strace.stderr.take().context("stderr is piped")?;
        let mut counter = Self {
            strace,
            summary,
            stderr: BufReader::new(stderr),
        };
        let mut line = String::new();
        counter.stderr.read_line(&mut line)?;
        if !line.contains("attached") {
            bail!("strace cannot look at process {pid}: {line}");
        }
        Ok(counter)
    }

    /// The flushes since then.
    fn finish(mut self) -> Result<u64> {
        process::signal("-INT", self.strace.id())?;
        self.strace.wait()?;
        flushes(self.summary.path())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Adds up the column of calls in the summary of strace.
fn flushes(summary: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(summary)?;
    let calls = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last()?;
        FLUSHES.split(',').find(|flush| flush == name)?;
        words.get(3)?.parse::<u64>().ok()
    });
    Ok(calls.sum())
}
