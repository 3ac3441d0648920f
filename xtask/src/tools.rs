//! Tools that the tasks need, installed when they are missing: programs into the build folder, the target of guests
//! into the toolchain.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A program from crates.io, of one version.
pub(crate) struct Tool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
    /// What it prints when it is asked for its version.
    says: &'static str,
    /// Its features, unless the default ones.
    features: Option<&'static str>,
}

pub(crate) const CARGO_DENY: Tool = Tool {
    package: "cargo-deny",
    program: "cargo-deny",
    version: "0.20.2",
    says: "cargo-deny 0.20.2",
    features: None,
};

/// What builds the book.
pub(crate) const MDBOOK: Tool = Tool {
    package: "mdbook",
    program: "mdbook",
    version: "0.5.4",
    says: "mdbook v0.5.4",
    features: Some("search"),
};

/// What guests are built for.
const WASM: &str = "wasm32-wasip2";

/// The root of the project, as cargo says it now: in a shared build folder, this program may have been
/// built from another clone.
pub(crate) fn root() -> &'static Path {
    static XTASK: LazyLock<PathBuf> = LazyLock::new(|| {
        let now = std::env::var_os("CARGO_MANIFEST_DIR");
        now.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    XTASK.parent().expect("xtask lies in the project's root")
}

/// The build folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

impl Tool {
    /// Its path. Installed into the build folder on first use, which takes some minutes.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let (package, version) = (self.package, self.version);
        let local = target().join("tools");
        let installed = local.join("bin").join(self.program);
        for candidate in [PathBuf::from(self.program), installed.clone()] {
            let said = Command::new(&candidate)
                .arg("--version")
                .stderr(Stdio::null())
                .output();
            if said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim() == self.says) {
                return Ok(candidate);
            }
        }
        eprintln!(
            "xtask: installing {package} {version} into the build folder (a few minutes, once)"
        );
        let mut install = Command::new("cargo");
        install.args(["install", "--locked", "--version", version, package]);
        if let Some(features) = self.features {
            install.args(["--no-default-features", "--features", features]);
        }
        let status = install.arg("--root").arg(&local).status()?;
        if !status.success() {
            bail!("{package} could not be installed: {status}");
        }
        Ok(installed)
    }
}

/// The target that guests are built for; installed when it is missing, which takes seconds.
pub(crate) fn wasm_target() -> Result<()> {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM])
        .current_dir(root())
        .output()?;
    let libraries = String::from_utf8_lossy(&libraries.stdout);
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    eprintln!("xtask: rustup target add {WASM} (the tests build a guest in Rust)");
    let mut add = Command::new("rustup");
    add.args(["target", "add", WASM]).current_dir(root());
    match add.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("the target {WASM} could not be installed: {status}"),
        Err(error) => bail!(
            "the Rust toolchain has no standard library for {WASM}, and rustup, which would install it, does not \
             start ({error}): install your distribution's package of it, or Rust from https://rustup.rs"
        ),
    }
}

/// Whether `cargo nextest` is there: faster, but `cargo test` does the same.
pub(crate) fn has_nextest() -> bool {
    let mut command = Command::new("cargo");
    command
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
