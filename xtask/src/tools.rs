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

/// What makes the C header of the platform's WIT.
const WIT_BINDGEN: Tool = Tool {
    package: "wit-bindgen-cli",
    program: "wit-bindgen",
    version: "0.63.0",
    says: "wit-bindgen-cli 0.63.0",
    features: Some("c"),
};

/// What makes a component of a core module.
const WASM_TOOLS: Tool = Tool {
    package: "wasm-tools",
    program: "wasm-tools",
    version: "1.263.0",
    says: "wasm-tools 1.263.0",
    features: Some("component"),
};

/// The compiler of C and Zig, from the Python package index.
const ZIG: &str = "0.15.2";

/// What builds the examples in C and Zig, in one folder: the tests look there and nowhere else.
pub(crate) fn native() -> Result<()> {
    WIT_BINDGEN.installed()?;
    WASM_TOOLS.installed()?;
    zig()
}

/// Zig in a virtual environment, and a program `zig` that runs it.
fn zig() -> Result<()> {
    let tools = target().join("tools");
    let (program, folder) = (tools.join("bin/zig"), tools.join(format!("zig-{ZIG}")));
    let python = folder.join("bin/python");
    let said = Command::new(&program).arg("version").output();
    if said.is_ok_and(|said| said.stdout.starts_with(ZIG.as_bytes())) {
        return Ok(());
    }
    eprintln!("xtask: installing Zig {ZIG} into the build folder (some 90 MB, once)");
    let user = std::env::var("EDDY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    done(
        Command::new(user)
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    done(
        Command::new(&python)
            .args(pip)
            .arg(format!("ziglang=={ZIG}")),
    )?;
    std::fs::create_dir_all(tools.join("bin"))?;
    let cache = tools.join("zig-cache");
    let script = format!(
        "#!/bin/sh\nexport ZIG_GLOBAL_CACHE_DIR='{}'\nexec '{}' -m ziglang \"$@\"\n",
        cache.display(),
        python.display()
    );
    std::fs::write(&program, script)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    Ok(std::fs::set_permissions(&program, mode)?)
}

fn done(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{command:?} failed: {status}"),
        Err(error) => bail!("{command:?} does not start: {error}"),
    }
}

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
    /// Its path: the one of this version that is there, or else the [installed](Tool::installed) one.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let there = PathBuf::from(self.program);
        match self.is(&there) {
            true => Ok(there),
            false => self.installed(),
        }
    }

    fn is(&self, program: &Path) -> bool {
        let mut asked = Command::new(program);
        let said = asked.arg("--version").stderr(Stdio::null()).output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim() == self.says)
    }

    /// Its path in the build folder. Installed there on first use, which takes some minutes.
    fn installed(&self) -> Result<PathBuf> {
        let (package, version) = (self.package, self.version);
        let local = target().join("tools");
        let installed = local.join("bin").join(self.program);
        if self.is(&installed) {
            return Ok(installed);
        }
        eprintln!(
            "xtask: installing {package} {version} into the build folder (a few minutes, once)"
        );
        let mut install = Command::new("cargo");
        install.args(["install", "--locked", "--version", version, package]);
        if let Some(features) = self.features {
            install.args(["--no-default-features", "--features", features]);
        }
        // Their work is so little that optimising them takes longer.
        install
            .arg("--debug")
            .env("CARGO_PROFILE_DEV_DEBUG", "false");
        // What it is built from is needed once.
        let build = local.join("build");
        done(
            install
                .env("CARGO_TARGET_DIR", &build)
                .arg("--root")
                .arg(&local),
        )?;
        let _ = std::fs::remove_dir_all(build);
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
