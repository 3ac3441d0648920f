//! The peers: what they are, whether they are here, and how each is started for a measurement.
//! Their own configurations and programs lie in bench/peers. How each is spoken to is in its module
//! when that is not HTTP.

mod install;
pub(crate) mod nats;
pub(crate) mod redis;
mod restate;
pub(crate) mod zmq;

use crate::args::Suite;
use crate::node;
use crate::process::{self, Server};
use anyhow::{Context as _, Result, anyhow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Somebody else's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Workerd,
    Restate,
    Nats,
    Zmq,
    Redis,
    Wasmtime,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] = [
        Self::Workerd,
        Self::Restate,
        Self::Nats,
        Self::Zmq,
        Self::Redis,
        Self::Wasmtime,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Workerd => "workerd",
            Self::Restate => "Restate",
            Self::Nats => "NATS",
            Self::Zmq => "pyzmq",
            Self::Redis => "Redis",
            Self::Wasmtime => "wasmtime serve",
        }
    }

    /// How it is configured, and why.
    pub(crate) fn setup(self) -> &'static str {
        match self {
            Self::Workerd => {
                "Durable Objects with SQLite on local disk; RPC between worker and object; writes \
                 not awaited (its output gate holds the reply until they are durable)"
            }
            Self::Restate => {
                "one node, 4 partitions, its own log server with flushes; TypeScript SDK on node, \
                 a virtual object with one state key"
            }
            Self::Nats => {
                "core request/reply, no JetStream; client and responder are thin Rust programs over \
                 its text protocol that batch their reads and writes"
            }
            Self::Zmq => "REQ/REP over loopback TCP between two Python processes",
            Self::Redis => "appendonly yes, appendfsync always, no snapshots; thin RESP client",
            Self::Wasmtime => {
                "wasi:http component in Rust, pooling allocator on, a fresh instance for each request"
            }
        }
    }

    /// The row that says why it was not measured.
    pub(crate) fn missing(self, suite: Suite) -> &'static str {
        match (self, suite) {
            (Self::Workerd, Suite::Message) => "workerd.relay",
            (Self::Workerd, Suite::Durable) => "workerd.inc.c100",
            (Self::Workerd, Suite::Function) => "workerd.hello.c32",
            (Self::Workerd, _) => "workerd.new",
            (Self::Restate, _) => "restate.inc.c100",
            (Self::Nats, _) => "nats.c1",
            (Self::Zmq, _) => "zmq.c1",
            (Self::Redis, _) => "redis.c32",
            (Self::Wasmtime, _) => "wasmtime.c32",
        }
    }
}

/// Where the peers are, and why some are not.
pub(crate) struct Peers(BTreeMap<Peer, Result<Installed, String>>);

/// A peer that is here.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) folder: PathBuf,
    /// As its package calls it.
    pub(crate) version: String,
}

impl Peers {
    pub(crate) fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Installs those that are not here yet, saying what it does.
    pub(crate) fn install() -> Result<Self> {
        let home = install::home()?;
        eprintln!("peers are installed into {}", home.display());
        let mut found = BTreeMap::new();
        for peer in Peer::ALL {
            let installed = install::install(peer, &home).map_err(|error| format!("{error:#}"));
            if let Err(error) = &installed {
                eprintln!("  {} cannot be installed: {error}", peer.name());
            }
            found.insert(peer, installed);
        }
        Ok(Self(found))
    }

    pub(crate) fn get(&self, peer: Peer) -> Result<&Installed> {
        match self.0.get(&peer) {
            Some(Ok(installed)) => Ok(installed),
            Some(Err(why)) => Err(anyhow!("not installed: {why}")),
            None => Err(anyhow!("not asked for")),
        }
    }

    /// Starts a peer on fresh data, ready to be called.
    pub(crate) async fn start(&self, peer: Peer) -> Result<Server> {
        let folder = &self.get(peer)?.folder;
        match peer {
            Peer::Workerd => workerd(folder).await,
            Peer::Restate => restate::start(folder).await,
            Peer::Nats => nats::start(folder).await,
            Peer::Zmq => zmq::start(folder),
            Peer::Redis => redis::start(folder).await,
            Peer::Wasmtime => wasmtime(folder).await,
        }
    }
}

/// A file of bench/peers.
fn own(path: &str) -> PathBuf {
    node::project().join("bench/peers").join(path)
}

/// The binary of an npm package that has one package for each platform: `node_modules/PREFIX*/bin/NAME`.
fn npm_binary(folder: &Path, scope: &str, prefix: &str, name: &str) -> Result<PathBuf> {
    let packages = folder.join("node_modules").join(scope);
    for package in std::fs::read_dir(&packages)? {
        let package = package?;
        let path = package.path().join("bin").join(name);
        if package.file_name().to_string_lossy().starts_with(prefix) && path.exists() {
            return Ok(path);
        }
    }
    Err(anyhow!("no {name} in {}", packages.display()))
}

fn workerd_binary(folder: &Path) -> Result<PathBuf> {
    npm_binary(folder, "@cloudflare", "workerd-", "workerd")
}

async fn workerd(folder: &Path) -> Result<Server> {
    let data = process::folder()?;
    let state = data.path().join("state");
    std::fs::create_dir(&state)?;
    let address = process::free_port()?;
    let mut command = Command::new(workerd_binary(folder)?);
    command
        .arg("serve")
        .arg(own("workerd/config.capnp"))
        .arg(format!("--directory-path=state={}", state.display()))
        .arg(format!("--socket-addr=http={address}"));
    Server::start(command, address, data).await
}

async fn wasmtime(folder: &Path) -> Result<Server> {
    let address = process::free_port()?;
    let mut command = Command::new(folder.join("bin/wasmtime"));
    command
        .args(["serve", "-Scli", "-Opooling-allocator=y", "--addr"])
        .arg(address.to_string())
        .arg(own("wasmtime/hello.wasm"));
    Server::start(command, address, process::folder()?)
        .await
        .context("wasmtime serve")
}
