//! The floor of an HTTP answer: hyper with nothing behind it.

use crate::http::Posts;
use crate::rows::Figures;
use crate::{helper, load};
use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// So many connections with one request in flight each.
pub(crate) async fn measure(callers: usize, time: Duration) -> Result<Figures> {
    let server = helper::start("hyper", &[])?;
    load::run(callers, time, |_| {
        Posts::open(server.address, "/".into(), Bytes::from_static(b"null"))
    })
    .await
}

/// Answers every request with a short text.
#[tokio::main]
pub(crate) async fn serve(announce: fn(SocketAddr) -> Result<()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hello = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"\"hello\""))))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), hello),
        );
    }
}
