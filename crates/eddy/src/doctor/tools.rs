//! The toolchains that projects are built with before they are deployed. TypeScript needs none.

use super::Check;
use crate::python::{self, Python};
use eddy_types::EddyError;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long a program may take to say its version.
const WITHIN: Duration = Duration::from_secs(10);
/// What Rust projects are built for.
const TARGET: &str = "wasm32-wasip2";

pub(crate) async fn checks() -> Vec<Check> {
    let cargo = said("cargo", &["--version"]).await;
    let library = said("rustc", &["--print", "target-libdir", "--target", TARGET]).await;
    let has_target = library.is_some_and(|folder| Path::new(&folder).is_dir());
    // As a deploy looks for it.
    let python = tokio::time::timeout(WITHIN, python::find_python()).await;
    vec![rust(cargo.as_deref(), has_target), with_python(python.ok())]
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

/// None did not answer.
fn with_python(found: Option<Result<Python, EddyError>>) -> Check {
    const NAME: &str = "python";
    const ADVICE: &str = "Only to deploy Python projects.";
    match found {
        None => Check::warn(
            NAME,
            format!("Python did not answer within {} s", WITHIN.as_secs()),
            format!("{ADVICE} Look what it waits for, or name another one in EDDY_PYTHON."),
        ),
        Some(Err(error)) => {
            let hint = error.hint.unwrap_or_default();
            Check::warn(NAME, error.detail, format!("{ADVICE} {hint}"))
        }
        Some(Ok(python)) => Check::ok(NAME, format!("Python {}", python.version)),
    }
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
        let hanging = with_python(None);
        assert_eq!(hanging.status, Status::Warn);
        assert!(advice(hanging).contains("EDDY_PYTHON"));
    }
}
