//! Floors: what the machine itself takes for a flush, a round trip and an HTTP answer.

use crate::Plan;
use crate::http::Connection;
use crate::load::{self, Measured};
use crate::table::Rows;
use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

const KIB: usize = 1024;

pub(crate) async fn measure(plan: Plan, rows: &mut Rows) -> Result<()> {
    rows.add(
        "floor: append 4 KiB + fdatasync, 1 thread",
        None,
        flush(plan).await?,
    );
    let echo = tcp_echo().await?;
    for clients in [1, 32] {
        let measured = load::run(clients, plan.time, |_| async move {
            let stream = TcpStream::connect(echo).await?;
            stream.set_nodelay(true)?;
            let stream = Arc::new(Mutex::new(stream));
            Ok(move || ping(stream.clone()))
        })
        .await?;
        rows.add(
            &format!("floor: raw TCP 1 KiB ping-pong, c{clients}"),
            None,
            measured,
        );
    }
    let bare = bare_hyper().await?;
    for clients in [1, 32] {
        let measured = load::run(clients, plan.time, |_| async move {
            let connection = Connection::open(bare).await?;
            Ok(move || {
                let connection = connection.clone();
                async move { connection.post("/", Bytes::new()).await.map(drop) }
            })
        })
        .await?;
        rows.add(&format!("floor: bare hyper, c{clients}"), None, measured);
    }
    Ok(())
}

/// Appends to a preallocated file, flushing each: what one durable write costs alone.
async fn flush(plan: Plan) -> Result<Measured> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("floor");
    let time = plan.time;
    tokio::task::spawn_blocking(move || {
        let file = File::create(&path)?;
        file.write_all_at(&vec![0; 64 << 20], 0)?;
        file.sync_all()?;
        let block = [7; 4 * KIB];
        let mut times = Vec::new();
        let started = Instant::now();
        while started.elapsed() < time {
            let began = Instant::now();
            let at = (times.len() % (16 * KIB)) * block.len();
            file.write_all_at(&block, at as u64)?;
            file.sync_data()?;
            times.push(began.elapsed());
        }
        Ok(Measured::of(times))
    })
    .await?
}

async fn tcp_echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut buffer = [0; KIB];
                while stream.read_exact(&mut buffer).await.is_ok() {
                    if stream.write_all(&buffer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn ping(stream: Arc<Mutex<TcpStream>>) -> Result<()> {
    let mut stream = stream.lock().await;
    let mut buffer = [1; KIB];
    stream.write_all(&buffer).await?;
    stream.read_exact(&mut buffer).await?;
    Ok(())
}

async fn bare_hyper() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let hello = service_fn(|_: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"\"hello\""))))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), hello),
            );
        }
    });
    Ok(address)
}
