//! What the link costs beside raw TCP: one caller and many, over loopback, two runtimes.
//!
//! `cargo run --release -p eddy-link --example echo [SECONDS]`
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use bytes::Bytes;
use eddy_link::{Config, Handler, Operation, Reply, Request, Responder};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const BODY: usize = 1024;

struct Echo {
    spawns: bool,
}

impl Handler for Echo {
    fn handle(&self, request: Request, responder: Responder) {
        let answer = move || {
            responder.finish(Ok(Reply {
                invocation: Some([1; 16]),
                body: request.body,
            }));
        };
        if self.spawns {
            tokio::spawn(async move { answer() });
        } else {
            answer();
        }
    }
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        0 => Builder::new_current_thread().enable_all().build(),
        n => Builder::new_multi_thread()
            .worker_threads(n)
            .enable_all()
            .build(),
    }
}

/// Times of all rounds, printed.
fn report(name: &str, mut times: Vec<u32>, took: Duration) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        f64::from(times[index.min(times.len() - 1)]) / 1000.0
    };
    println!(
        "{name:<34} {:>8.0}/s  p50 {:>7.1} us  p99 {:>7.1} us",
        times.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99)
    );
}

fn nanos(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

/// A ping-pong of `BODY` bytes without any protocol.
fn raw(threads: usize, lasts: Duration) -> io::Result<()> {
    let (server, client) = (runtime(threads)?, runtime(threads)?);
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let serving = async move {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; BODY];
        while stream.read_exact(&mut buffer).await.is_ok() {
            stream.write_all(&buffer).await?;
        }
        io::Result::Ok(())
    };
    let served = on_thread(server, serving);
    let asking = async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = [1; BODY];
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < lasts {
            let one = Instant::now();
            stream.write_all(&buffer).await?;
            stream.read_exact(&mut buffer).await?;
            times.push(nanos(one));
        }
        report(
            &format!("raw TCP, {threads} threads"),
            times,
            begin.elapsed(),
        );
        io::Result::Ok(())
    };
    client.block_on(async { tokio::spawn(asking).await })??;
    drop(client);
    let _ = served.join();
    Ok(())
}

fn on_thread(
    runtime: Runtime,
    work: impl Future<Output = io::Result<()>> + Send + 'static,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let _ = runtime.block_on(async { tokio::spawn(work).await });
    })
}

/// The same through the link, with `callers` at once.
fn link(threads: usize, callers: usize, spawns: bool, lasts: Duration) -> io::Result<()> {
    let (server, client) = (runtime(threads)?, runtime(threads)?);
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let serving = async move {
        let (stream, _) = listener.accept().await?;
        let handler = Arc::new(Echo { spawns });
        let (serving, _drain) = eddy_link::serve(stream, handler, &Config::default());
        let _ = serving.await;
        io::Result::Ok(())
    };
    let served = on_thread(server, serving);
    let asking = async move {
        let stream = TcpStream::connect(address).await?;
        let (link, linking) = eddy_link::open(stream, &Config::default());
        tokio::spawn(linking);
        let begin = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let link = link.clone();
                tokio::spawn(async move { caller(&link, begin, lasts).await })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.append(&mut task.await?);
        }
        let how = if spawns { "a task each" } else { "inline" };
        let name = format!("link, {threads} threads, {callers} callers, {how}");
        report(&name, times, begin.elapsed());
        io::Result::Ok(())
    };
    client.block_on(async { tokio::spawn(asking).await })??;
    drop(client);
    let _ = served.join();
    Ok(())
}

async fn caller(link: &eddy_link::Link, begin: Instant, lasts: Duration) -> Vec<u32> {
    let body = Bytes::from(vec![b'1'; BODY]);
    let mut times = Vec::new();
    while begin.elapsed() < lasts {
        let one = Instant::now();
        let operation = Operation::Call {
            agent_type: "cart".to_owned(),
            key: "alice".to_owned(),
            method: "echo".to_owned(),
            snapshot: false,
        };
        let mut request = Request::new(operation, body.clone());
        request.timeout = Some(Duration::from_secs(10));
        let reply = link.request(request).await.expect("the server answers");
        assert_eq!(reply.body.len(), BODY);
        times.push(nanos(one));
    }
    times
}

fn main() -> io::Result<()> {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let lasts = Duration::from_secs_f64(seconds.unwrap_or(2.0));
    for threads in [0, 2] {
        raw(threads, lasts)?;
        link(threads, 1, false, lasts)?;
        link(threads, 1, true, lasts)?;
        link(threads, 32, false, lasts)?;
        link(threads, 32, true, lasts)?;
    }
    Ok(())
}
