//! A message to a warm agent and back, from another agent and from a program.

use super::{calls, posts};
use crate::bench::Bench;
use crate::http::Connection;
use crate::link::Target;
use crate::node::Node;
use crate::peers::{Peer, nats, zmq};
use crate::rows::{Figures, Side};
use crate::{floors, helper, load};
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Mutex;

/// Calls that an agent, or a worker, makes in one request.
const RELAYED: u32 = 500;

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let time = bench.plan.time;
    for (id, callers) in [("tcp.c1", 1), ("tcp.c32", 32)] {
        let title = format!("raw TCP 1 KiB ping-pong, c{callers}");
        let work = floors::tcp::measure(callers, time);
        bench.row(Side::Floor, id, &title, work).await;
    }
    eddy(bench).await?;
    if let Some(server) = bench.start(Peer::Workerd).await {
        let title = "workerd: worker calls Durable Object, 1 KiB, in process";
        let path = format!("/relay/a/{RELAYED}");
        let work = relay(server.address, path, "", time);
        bench.row(Side::Peer, "workerd.relay", title, work).await;
    }
    if let Some(server) = bench.start(Peer::Zmq).await {
        let python = bench.peers.get(Peer::Zmq).cloned();
        let work = async { zmq::measure(&python?.folder, &server, time) };
        bench
            .row(Side::Peer, "zmq.c1", "pyzmq REQ/REP 1 KiB, c1", work)
            .await;
    }
    nats(bench).await
}

async fn eddy(bench: &mut Bench) -> Result<()> {
    let time = bench.plan.time;
    let node = Node::start("60s")?;
    let at = node.address();
    let title = "agent calls agent, 1 KiB, same node";
    let argument = format!(r#"{{"key":"b","calls":{RELAYED},"bytes":1024}}"#);
    let path = Target::new("counter", "a", "relay").path();
    let work = relay(at, path, &argument, time);
    bench.row(Side::Eddy, "relay", title, work).await;
    let echo = || Target::new("counter", "echo", "echo");
    let kib = format!("\"{}\"", "x".repeat(1022));
    for (id, callers, connections) in [
        ("link.echo.c1", 1, 1),
        ("link.echo.c32", 32, 1),
        ("link.echo.c32x32", 32, 32),
    ] {
        let title = format!("1 KiB query echo, link, c{callers}, connections: {connections}");
        let work = calls(at, callers, connections, time, echo(), &kib);
        bench.row(Side::Eddy, id, &title, work).await;
    }
    for (id, callers) in [("http.echo.c1", 1), ("http.echo.c32", 32)] {
        let title = format!("1 KiB query echo, HTTP, c{callers}");
        let work = posts(at, callers, time, |_| echo().path(), &kib);
        bench.row(Side::Eddy, id, &title, work).await;
    }
    Ok(())
}

/// Requests that each make many calls in sequence; the time of one call, by request.
async fn relay(address: SocketAddr, path: String, body: &str, time: Duration) -> Result<Figures> {
    let connection = Mutex::new(Connection::open(address).await?);
    let body = Bytes::copy_from_slice(body.as_bytes());
    load::batches(time, RELAYED, || async {
        let mut connection = connection.lock().await;
        connection.post(&path, body.clone()).await.map(drop)
    })
    .await
}

async fn nats(bench: &mut Bench) -> Result<()> {
    let Some(server) = bench.start(Peer::Nats).await else {
        return Ok(());
    };
    let (at, time) = (server.address, bench.plan.time);
    let _responder = helper::start("nats-echo", &[&at.to_string()])?;
    let work = async { nats::measure(at, 1, time) };
    let title = "NATS request/reply 1 KiB, c1";
    bench.row(Side::Peer, "nats.c1", title, work).await;
    let work = async { nats::multiplexed(at, 32, time) };
    let title = "NATS request/reply 1 KiB, one flow with 32 in flight, connections: 1";
    bench.row(Side::Peer, "nats.c32", title, work).await;
    let work = async { nats::measure(at, 32, time) };
    let title = "NATS request/reply 1 KiB, c32, connections: 32";
    bench.row(Side::Peer, "nats.c32x32", title, work).await;
    Ok(())
}
