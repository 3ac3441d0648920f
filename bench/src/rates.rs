//! Rates of a warm node over HTTP.

use crate::http::Connection;
use crate::load::{self, Measured};
use crate::table::Rows;
use crate::{Plan, node};
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;

const FLUSH: &str = "floor: append 4 KiB + fdatasync, 1 thread";

pub(crate) async fn measure(plan: Plan, rows: &mut Rows) -> Result<()> {
    let node = node::start("60s").await?;
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
