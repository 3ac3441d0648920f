//! Functions over HTTP, each request in a fresh instance.

use super::posts;
use crate::bench::Bench;
use crate::floors;
use crate::node::Node;
use crate::peers::Peer;
use crate::rows::Side;
use anyhow::Result;

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let time = bench.plan.time;
    for (id, callers) in [("hyper.c1", 1), ("hyper.c32", 32)] {
        let title = format!("bare hyper, c{callers}");
        let work = floors::http::measure(callers, time);
        bench.row(Side::Floor, id, &title, work).await;
    }
    {
        let node = Node::start("60s")?;
        for (id, callers) in [("hello.c1", 1), ("hello.c32", 32)] {
            let title = format!("hello function, fresh instance, c{callers}");
            let path = |_| "/v1/functions/hello".to_owned();
            let work = posts(node.address(), callers, time, path, "");
            bench.row(Side::Eddy, id, &title, work).await;
        }
    }
    for (peer, path, ids) in [
        (
            Peer::Workerd,
            "/hello",
            ["workerd.hello.c1", "workerd.hello.c32"],
        ),
        (Peer::Wasmtime, "/", ["wasmtime.c1", "wasmtime.c32"]),
    ] {
        let Some(server) = bench.start(peer).await else {
            continue;
        };
        for (id, callers) in [(ids[0], 1), (ids[1], 32)] {
            let title = format!("{}: hello, c{callers}", peer.name());
            let work = posts(server.address, callers, time, |_| path.to_owned(), "");
            bench.row(Side::Peer, id, &title, work).await;
        }
    }
    Ok(())
}
