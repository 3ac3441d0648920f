//! A real node: the release binary on a fresh data folder, and the two apps that are measured.

use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running node, killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) address: SocketAddr,
    _data: tempfile::TempDir,
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench lies in the project's root")
}

/// The binary lies beside this one.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().context("a program has a folder")?.join("eddy");
    if !path.exists() {
        bail!("{} is not built: cargo build --release", path.display());
    }
    Ok(path)
}

/// Starts a node with the Rust guest and the TypeScript counter, whose agents stay live for `idle`.
pub(crate) async fn start(idle: &str) -> Result<Node> {
    let data = tempfile::tempdir()?;
    let guest = project().join("crates/eddy-wasm/assets/bench-guest.wasm");
    let apps = [
        write_app(
            data.path(),
            "rust",
            "counter",
            idle,
            ("guest.wasm", &std::fs::read(guest)?),
        )?,
        write_app(
            data.path(),
            "script",
            "tsCounter",
            idle,
            ("index.ts", TS_COUNTER.as_bytes()),
        )?,
    ];
    let mut command = Command::new(binary()?);
    command
        .args(["up", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path().join("data"));
    for app in apps {
        command.arg("--app").arg(app);
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let line = BufReader::new(stdout)
        .lines()
        .next_line()
        .await?
        .context("the node ended")?;
    let ready: serde_json::Value = serde_json::from_str(&line)?;
    let url = ready["url"].as_str().context("no url")?;
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()?;
    Ok(Node {
        child,
        address,
        _data: data,
    })
}

/// A folder with a manifest, and the one file that it names.
fn write_app(
    dir: &Path,
    name: &str,
    agent: &str,
    idle: &str,
    (file, content): (&str, &[u8]),
) -> Result<PathBuf> {
    let app = dir.join(name);
    std::fs::create_dir(&app)?;
    let manifest = format!(
        "name = \"{name}\"\n[components.main]\npath = \"{file}\"\n[agents.{agent}]\nidle = \"{idle}\"\n"
    );
    std::fs::write(app.join("eddy.toml"), manifest)?;
    std::fs::write(app.join(file), content)?;
    Ok(app)
}

impl Node {
    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let pid = self.child.id().context("the node ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .context("no number")?
            .parse()?;
        Ok(kib * 1024)
    }
}

const TS_COUNTER: &str = r#"
import { agent, query } from "eddy";
export const tsCounter = agent({
  increment(ctx, { by = 1 } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  put(ctx, { key }) {
    ctx.state.set(key, "x".repeat(100));
  },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
});
"#;
