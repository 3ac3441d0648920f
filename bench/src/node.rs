//! A real node: the release binary on a fresh data folder, and the two apps that are measured.

use crate::http::Connection;
use crate::process::{self, Server};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the node may take to let all agents go.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running node, killed when dropped.
pub(crate) struct Node(Server);

/// The project's root.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench lies in the project's root")
}

/// The binary lies beside this one.
pub(crate) fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().context("a program has a folder")?.join("eddy");
    if !path.exists() {
        bail!("{} is not built: cargo build --release", path.display());
    }
    Ok(path)
}

impl Node {
    /// A node on a folder of its own, with the Rust guest (agent type `counter`) and the TypeScript
    /// one (`tsCounter`), whose agents stay live for `idle`.
    pub(crate) fn start(idle: &str) -> Result<Self> {
        let folder = process::folder()?;
        let apps = apps(folder.path(), idle)?;
        let (Self(server), _) = up(folder.path(), &apps)?;
        Ok(Self(server.with_folder(folder)))
    }

    /// A node on a folder of its own, without apps.
    pub(crate) fn empty() -> Result<Self> {
        let folder = process::folder()?;
        let (Self(server), _) = up(folder.path(), &[])?;
        Ok(Self(server.with_folder(folder)))
    }

    /// A node on the data in `folder`, as it was left there; with apps when it is the first start.
    /// Answers also with the time from the start of the process to its word that it is ready.
    pub(crate) fn on(folder: &Path, idle: Option<&str>) -> Result<(Self, Duration)> {
        let apps = match idle {
            Some(idle) => apps(folder, idle)?,
            None => Vec::new(),
        };
        up(folder, &apps)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn server(&self) -> &Server {
        &self.0
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.0.resident()
    }

    /// See [`crate::process::Server::proportional`].
    pub(crate) fn proportional(&self) -> Result<u64> {
        self.0.proportional()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Result<()> {
        self.0.stop().await
    }

    /// Live agents, by the node's own count.
    pub(crate) async fn active(&self) -> Result<u64> {
        let mut connection = Connection::open(self.address()).await?;
        let metrics = connection.get("/metrics").await?;
        String::from_utf8_lossy(&metrics)
            .lines()
            .find_map(|line| line.strip_prefix("eddy_active_agents "))
            .context("no such metric")?
            .parse()
            .context("not a count")
    }

    /// Waits until no agent is live.
    pub(crate) async fn all_passivated(&self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.active().await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("agents stay live");
    }
}

fn up(folder: &Path, apps: &[PathBuf]) -> Result<(Node, Duration)> {
    let mut command = Command::new(binary()?);
    command
        .args(["up", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.join("data"));
    for app in apps {
        command.arg("--app").arg(app);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.join("node.log"))?);
    let began = Instant::now();
    let mut child = process::spawn(&mut command)?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    // Held from here on, so that it is killed on every way out.
    let mut server = Server::running(child, SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let took = began.elapsed();
    let ready: serde_json::Value = serde_json::from_str(&line).with_context(|| {
        let said = std::fs::read_to_string(folder.join("node.log")).unwrap_or_default();
        format!("the node did not start: {said}")
    })?;
    let url = ready["url"].as_str().context("no url")?;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    server.address = address.parse()?;
    Ok((Node(server), took))
}

fn apps(folder: &Path, idle: &str) -> Result<Vec<PathBuf>> {
    let guest = std::fs::read(project().join("crates/eddy-wasm/assets/bench-guest.wasm"))?;
    let script = std::fs::read(project().join("bench/guests/counter.ts"))?;
    Ok(vec![
        write_app(folder, "rust", ("counter", idle), ("guest.wasm", &guest))?,
        write_app(folder, "script", ("tsCounter", idle), ("index.ts", &script))?,
    ])
}

/// A folder with a manifest, and the one file that it names.
fn write_app(
    folder: &Path,
    name: &str,
    (agent, idle): (&str, &str),
    (file, content): (&str, &[u8]),
) -> Result<PathBuf> {
    let app = folder.join(name);
    std::fs::create_dir(&app)?;
    let manifest = format!(
        "name = \"{name}\"\n[components.main]\npath = \"{file}\"\n[agents.{agent}]\nidle = \"{idle}\"\n"
    );
    std::fs::write(app.join("eddy.toml"), manifest)?;
    std::fs::write(app.join(file), content)?;
    Ok(app)
}
