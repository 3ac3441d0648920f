//! Increments that are on disk when the answer comes.

use super::{calls, flushes, posts};
use crate::bench::Bench;
use crate::floors::flush;
use crate::link::Target;
use crate::node::Node;
use crate::peers::{Peer, redis};
use crate::rows::Side;
use anyhow::Result;
use std::net::SocketAddr;

/// How often one caller and its floor take turns in a round.
const SLICES: usize = 4;

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    floors(bench).await;
    eddy(bench).await?;
    redis(bench).await;
    for (peer, [one, many, hundred]) in [
        (
            Peer::Workerd,
            ["workerd.inc.c1", "workerd.inc.c32", "workerd.inc.c100"],
        ),
        (
            Peer::Restate,
            ["restate.inc.c1", "restate.inc.c32", "restate.inc.c100"],
        ),
    ] {
        over_http(bench, peer, [one, many, hundred]).await;
    }
    if bench.round == bench.plan.rounds {
        flushes::run(bench).await?;
    }
    Ok(())
}

async fn floors(bench: &mut Bench) {
    let time = bench.plan.time;
    for (id, threads) in [("group.1", 1), ("group.32", 32), ("group.100", 100)] {
        let title = format!("group commit of 128 B, threads: {threads}");
        let work = async { flush::group(threads, time) };
        bench.row(Side::Floor, id, &title, work).await;
    }
    let work = async { flush::overwrite(time) };
    let title = "overwrite 4 KiB + fdatasync, preallocated, 1 thread";
    bench.row(Side::Floor, "flush.over", title, work).await;
    // Once with no node beside it.
    append(bench).await;
}

/// One caller, and in turns with it the flush it is held against: the disk and the host change from
/// second to second, and a file that grows has two speeds here, some 60 and 90 us, as the file system
/// places it. Its best counts.
async fn one_caller(bench: &mut Bench, at: SocketAddr) {
    for _ in 0..SLICES {
        append(bench).await;
        let work = calls(at, 1, 1, bench.plan.time / 2, one(), "null");
        let title = "durable increment, 1 agent, link, c1";
        bench.row(Side::Eddy, "link.inc.c1", title, work).await;
    }
}

async fn append(bench: &mut Bench) {
    let time = bench.plan.time / 2;
    let work = async { flush::append(time) };
    let title = "append 4 KiB + fdatasync, 1 thread";
    bench.row(Side::Floor, "flush", title, work).await;
}

fn one() -> Target {
    Target::new("counter", "one", "increment")
}

async fn eddy(bench: &mut Bench) -> Result<()> {
    let time = bench.plan.time;
    let node = Node::start("60s")?;
    let at = node.address();
    one_caller(bench, at).await;
    let work = calls(at, 32, 1, time, one(), "null");
    let title = "durable increment, 1 agent, link, c32";
    bench.row(Side::Eddy, "link.inc.c32", title, work).await;
    for (id, callers) in [("http.inc.c1", 1), ("http.inc.c32", 32)] {
        let title = format!("durable increment, 1 agent, HTTP, c{callers}");
        let work = posts(at, callers, time, |_| one().path(), "null");
        bench.row(Side::Eddy, id, &title, work).await;
    }
    for (id, what, agent) in [
        ("http.inc.c100", "Rust", "counter"),
        ("ts.inc.c100", "TypeScript", "tsCounter"),
    ] {
        let title = format!("durable increment, 100 agents, {what}, HTTP, c100");
        let path = |n| Target::new(agent, format!("h{n}"), "increment").path();
        let work = posts(at, 100, time, path, "{}");
        bench.row(Side::Eddy, id, &title, work).await;
    }
    Ok(())
}

async fn redis(bench: &mut Bench) {
    let Some(server) = bench.start(Peer::Redis).await else {
        return;
    };
    let (at, time) = (server.address, bench.plan.time);
    for (id, callers) in [("redis.c1", 1), ("redis.c32", 32)] {
        let title = format!("Redis INCR, 1 key, flushed, c{callers}");
        let work = async { redis::measure(at, callers, time) };
        bench.row(Side::Peer, id, &title, work).await;
    }
    let work = async { redis::pipelined(at, 32, time) };
    let title = "Redis INCR, 1 key, flushed, 32 in flight on 1 connection";
    bench.row(Side::Peer, "redis.window", title, work).await;
}

async fn over_http(bench: &mut Bench, peer: Peer, ids: [&'static str; 3]) {
    let Some(server) = bench.start(peer).await else {
        return;
    };
    let (at, time) = (server.address, bench.plan.time);
    for (id, callers, objects) in [(ids[0], 1, 1), (ids[1], 32, 1), (ids[2], 100, 100)] {
        let title = format!(
            "{}: durable increment, objects: {objects}, c{callers}",
            peer.name()
        );
        let path = |n: usize| increment_path(peer, &format!("o{}", n % objects));
        let work = posts(at, callers, time, path, "");
        bench.row(Side::Peer, id, &title, work).await;
    }
}

/// Where an increment of a peer's object is posted.
pub(super) fn increment_path(peer: Peer, key: &str) -> String {
    match peer {
        Peer::Restate => format!("/Counter/{key}/increment"),
        _ => format!("/increment/{key}"),
    }
}
