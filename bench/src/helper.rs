//! The other side of the floors and of some peers: this program again, as a process of its own. It
//! prints where it listens and ends with its standard input, so that it never outlives its parent.

use crate::floors;
use crate::peers::nats;
use crate::process::{self, Server};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// The argument that makes the program a helper.
pub(crate) const FLAG: &str = "--serve";

/// Starts a helper of this kind; `args` are its own.
pub(crate) fn start(kind: &str, args: &[&str]) -> Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(FLAG)
        .arg(kind)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = process::spawn(&mut command)?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match line.trim().parse() {
        Ok(address) => Ok(Server::running(child, address)),
        Err(_) => {
            // Dropped at the end of this arm, and killed with that.
            let _failed = Server::running(child, SocketAddr::from(([127, 0, 0, 1], 0)));
            bail!("the helper {kind} does not serve: {line:?}")
        }
    }
}

/// Runs as a helper, until standard input ends.
pub(crate) fn serve(mut args: impl Iterator<Item = String>) -> Result<()> {
    let kind = args.next().unwrap_or_default();
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
    match kind.as_str() {
        "tcp-threads" => floors::tcp::serve_threads(announce),
        "tcp-tokio" => floors::tcp::serve_tokio(announce),
        "hyper" => floors::http::serve(announce),
        "nats-echo" => nats::serve_echo(&args.next().context("the server's address")?, announce),
        _ => bail!("no helper {kind:?}"),
    }
}

/// Tells the parent where this helper listens.
fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{address}")?;
    Ok(stdout.flush()?)
}
