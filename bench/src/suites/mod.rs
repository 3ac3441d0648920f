//! What is measured: floors, Eddy and the peers in turn, each alone on the machine.

mod cold;
mod durable;
mod flushes;
mod function;
mod languages;
mod message;
mod neighbours;
mod overload;
mod scale;

use crate::args::Suite;
use crate::bench::Bench;
use crate::http::Posts;
use crate::link::{Calls, Link, Target};
use crate::load;
use crate::rows::Figures;
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// One round of a suite.
pub(crate) async fn run(bench: &mut Bench, suite: Suite) -> Result<()> {
    bench.suite = suite;
    match suite {
        Suite::Message => message::run(bench).await,
        Suite::Durable => durable::run(bench).await,
        Suite::Function => function::run(bench).await,
        Suite::Cold => cold::run(bench).await,
        Suite::Languages => languages::run(bench).await,
        Suite::Scale => scale::run(bench).await,
        Suite::Overload => overload::run(bench).await,
        Suite::Neighbours => neighbours::run(bench).await,
    }
}

/// Callers over HTTP, a connection each. `path` may differ from caller to caller.
async fn posts(
    address: SocketAddr,
    callers: usize,
    time: Duration,
    path: impl Fn(usize) -> String,
    body: &str,
) -> Result<Figures> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    load::run(callers, time, |caller| {
        Posts::open(address, path(caller), body.clone())
    })
    .await
}

/// Callers of one method of one agent, spread over so many connections.
async fn calls(
    address: SocketAddr,
    callers: usize,
    connections: usize,
    time: Duration,
    target: Target,
    argument: &str,
) -> Result<Figures> {
    let argument = Bytes::copy_from_slice(argument.as_bytes());
    let links = tokio::sync::Mutex::new(Vec::<Link>::new());
    load::run(callers, time, |caller| {
        let (target, argument, links) = (target.clone(), argument.clone(), &links);
        async move {
            let mut links = links.lock().await;
            if links.len() < connections {
                links.push(Link::connect(address).await?);
            }
            Ok(Calls::new(&links[caller % connections], target, argument))
        }
    })
    .await
}
