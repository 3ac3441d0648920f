//! Redis: INCR on one key with every write flushed, over the plain protocol.

use crate::load;
use crate::process::{self, Server};
use crate::rows::Figures;
use anyhow::{Context as _, Result, bail};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const INCR: &[u8] = b"*2\r\n$4\r\nINCR\r\n$3\r\none\r\n";

pub(crate) async fn start(folder: &Path) -> Result<Server> {
    let data = process::folder()?;
    let address = process::free_port()?;
    let root = folder.join("root/usr");
    let mut command = Command::new(root.join("bin/redis-server"));
    let port = address.port().to_string();
    command
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(data.path())
        .env("LD_LIBRARY_PATH", libraries(&root)?);
    Server::start(command, address, data).await
}

/// The libraries lie in a folder that is named after the machine.
fn libraries(root: &Path) -> Result<PathBuf> {
    std::fs::read_dir(root.join("lib"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .context("the packages of Redis have no libraries")
}

/// So many connections, one increment in flight on each.
pub(crate) fn measure(address: SocketAddr, callers: usize, time: Duration) -> Result<Figures> {
    load::threads(callers, time, |_| {
        let mut client = Client::open(address)?;
        Ok(move || {
            client.send(1)?;
            client.answer()
        })
    })
}

/// One connection with so many increments in flight.
pub(crate) fn pipelined(address: SocketAddr, window: usize, time: Duration) -> Result<Figures> {
    let mut client = Client::open(address)?;
    let mut sent: VecDeque<Instant> = VecDeque::new();
    load::window(time, |answered| {
        let room = window - sent.len();
        client.send(room)?;
        sent.extend(std::iter::repeat_n(Instant::now(), room));
        loop {
            client.answer()?;
            answered.extend(sent.pop_front());
            if client.0.buffer().is_empty() {
                return Ok(());
            }
        }
    })
}

/// So many increments, one after the other.
pub(crate) fn increments(address: SocketAddr, count: usize) -> Result<()> {
    let mut client = Client::open(address)?;
    for _ in 0..count {
        client.send(1)?;
        client.answer()?;
    }
    Ok(())
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, count: usize) -> Result<()> {
        Ok(self.0.get_mut().write_all(&INCR.repeat(count))?)
    }

    fn answer(&mut self) -> Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if !line.starts_with(':') {
            bail!("Redis says {line:?}");
        }
        Ok(())
    }
}
