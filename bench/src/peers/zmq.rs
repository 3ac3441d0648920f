//! pyzmq: Python on both sides, because that is what the figure is about.

use super::own;
use crate::process::{self, Server};
use crate::rows::Figures;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) fn start(folder: &Path) -> Result<Server> {
    let mut command = python(folder, "zmq/server.py");
    command.stdout(Stdio::piped());
    let mut child = process::spawn(&mut command)?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut server = Server::running(child, SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let port = line.trim().parse().context("pyzmq told no port")?;
    server.address.set_port(port);
    Ok(server)
}

/// One client, one message at a time.
pub(crate) fn measure(folder: &Path, server: &Server, time: Duration) -> Result<Figures> {
    let mut client = python(folder, "zmq/client.py");
    client
        .arg(server.address.port().to_string())
        .arg(time.as_secs_f64().to_string());
    let out = tokio::task::block_in_place(|| client.output())?;
    let said = serde_json::from_slice::<serde_json::Value>(&out.stdout)
        .with_context(|| String::from_utf8_lossy(&out.stderr).into_owned())?;
    Ok(Figures {
        p50_us: said["p50_us"].as_f64(),
        p99_us: said["p99_us"].as_f64(),
        per_second: said["per_second"].as_f64(),
        ..Figures::default()
    })
}

fn python(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(own(script))
        .env("PYTHONPATH", folder.join("python"))
        .stdin(Stdio::null());
    command
}
