//! The floor of a message: 1 KiB to another process and back over loopback TCP. Once with blocking
//! threads and once with tokio on both sides; whichever is better is the floor.

use crate::helper;
use crate::load::{self, Caller};
use crate::rows::Figures;
use anyhow::Result;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SIZE: usize = 1024;

/// So many connections with one message in flight each.
pub(crate) async fn measure(callers: usize, time: Duration) -> Result<Figures> {
    let threads = {
        let server = helper::start("tcp-threads", &[])?;
        load::threads(callers, time / 2, |_| blocking(server.address))?
    };
    let server = helper::start("tcp-tokio", &[])?;
    let tokio = load::run(callers, time / 2, |_| Tokio::open(server.address)).await?;
    Ok(match threads.per_second >= tokio.per_second {
        true => threads,
        false => tokio,
    })
}

fn blocking(address: SocketAddr) -> Result<impl FnMut() -> Result<()> + Send> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = [1; SIZE];
    Ok(move || {
        stream.write_all(&buffer)?;
        Ok(stream.read_exact(&mut buffer)?)
    })
}

struct Tokio(tokio::net::TcpStream);

impl Tokio {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl Caller for Tokio {
    async fn once(&mut self) -> Result<()> {
        let mut buffer = [1; SIZE];
        self.0.write_all(&buffer).await?;
        self.0.read_exact(&mut buffer).await?;
        Ok(())
    }
}

/// The echo with a thread for each connection.
pub(crate) fn serve_threads(announce: fn(SocketAddr) -> Result<()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?)?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        std::thread::spawn(move || {
            let mut buffer = [0; SIZE];
            // Either fails when the client has gone.
            while stream.read_exact(&mut buffer).is_ok() && stream.write_all(&buffer).is_ok() {}
        });
    }
    Ok(())
}

/// The echo with a task for each connection.
#[tokio::main]
pub(crate) async fn serve_tokio(announce: fn(SocketAddr) -> Result<()>) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut buffer = [0; SIZE];
            while stream.read_exact(&mut buffer).await.is_ok()
                && stream.write_all(&buffer).await.is_ok()
            {}
        });
    }
}
