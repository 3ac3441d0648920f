//! The toolchains that projects are built with before they are deployed. TypeScript needs none.

use super::Check;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long a program may take to say its version.
const WITHIN: Duration = Duration::from_secs(10);
/// What Rust projects are built for.
const TARGET: &str = "wasm32-wasip2";
/// The oldest Python that projects can be built with: major and minor.
const PYTHON: (u32, u32) = (3, 10);

pub(crate) async fn checks() -> Vec<Check> {
    let cargo = said("cargo", &["--version"]).await;
    let library = said("rustc", &["--print", "target-libdir", "--target", TARGET]).await;
    let has_target = library.is_some_and(|folder| Path::new(&folder).is_dir());
    let named = std::env::var("EDDY_PYTHON")
        .ok()
        .filter(|named| !named.is_empty());
    let python = match &named {
        Some(named) => said(named, &["--version"]).await,
        None => match said("python3", &["--version"]).await {
            None => said("python", &["--version"]).await,
            python => python,
        },
    };
    vec![
        rust(cargo.as_deref(), has_target),
        with_python(python.as_deref(), named.as_deref()),
    ]
}

/// The first line that a program prints; none when it is not there, fails or hangs.
async fn said(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let ran = tokio::time::timeout(WITHIN, command.output())
        .await
        .ok()?
        .ok()?;
    let text = String::from_utf8_lossy(&ran.stdout);
    ran.status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn rust(cargo: Option<&str>, has_target: bool) -> Check {
    const NAME: &str = "rust";
    match cargo {
        None => Check::warn(
            NAME,
            "cargo is not installed",
            format!(
                "Only to deploy Rust projects: install Rust from https://rustup.rs, then run `rustup target add {TARGET}`."
            ),
        ),
        Some(cargo) if !has_target => Check::warn(
            NAME,
            format!("{cargo}, without the target {TARGET}"),
            format!("Only to deploy Rust projects: run `rustup target add {TARGET}`."),
        ),
        Some(cargo) => Check::ok(NAME, format!("{cargo}, with the target {TARGET}")),
    }
}

/// `named`: what `EDDY_PYTHON` says.
fn with_python(version: Option<&str>, named: Option<&str>) -> Check {
    const NAME: &str = "python";
    let (major, minor) = PYTHON;
    let advice =
        format!("Only to deploy Python projects: install Python {major}.{minor} or newer.");
    match version {
        None => {
            let found = named.map_or_else(
                || "python3 is not installed".to_owned(),
                |named| format!("EDDY_PYTHON names {named}, which cannot be run"),
            );
            Check::warn(NAME, found, advice)
        }
        Some(version) if !is_new_enough(version) => Check::warn(NAME, version, advice),
        Some(version) => Check::ok(NAME, version),
    }
}

/// Of `Python 3.11.2`.
fn is_new_enough(version: &str) -> bool {
    let number = version.strip_prefix("Python ").unwrap_or(version);
    let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((parts.next(), parts.next()), (Some(major), Some(minor)) if (major, minor) >= PYTHON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn what_is_missing_is_told_with_how_to_get_it() {
        assert_eq!(rust(Some("cargo 1.95.0"), true).status, Status::Ok);
        let advice = |check: Check| check.advice.expect("advice");
        assert!(advice(rust(Some("cargo 1.95.0"), false)).contains("rustup target add"));
        assert!(advice(rust(None, false)).contains("rustup.rs"));
        assert_eq!(with_python(Some("Python 3.11.2"), None).status, Status::Ok);
        for bad in [
            None,
            Some("Python 2.7.18"),
            Some("Python 3.9.1"),
            Some("Python"),
        ] {
            assert_eq!(with_python(bad, None).status, Status::Warn, "{bad:?}");
        }
        let named = with_python(None, Some("/no/python"));
        assert!(named.found.contains("/no/python"), "{}", named.found);
    }
}
