//! componentize-py in a virtual environment of its own, made by the user's Python. What goes wrong with programs and
//! the package index is told here.

use crate::output::Output;
use crate::progress;
use eddy_types::{EddyError, ErrorCode};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output as Ran, Stdio};
use tokio::process::Command;

/// The version of componentize-py; with it come CPython's and the form of the component.
pub(super) const VERSION: &str = "0.25.1";
/// The oldest Python that can install it.
const OLDEST: (u32, u32) = (3, 10);
/// Lines of a failed program's output that are shown.
const SHOWN_LINES: usize = 20;
/// Prints the version, and fails where there can be no virtual environment.
const PROBE: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3]); import venv, ensurepip";

/// A Python that will do.
#[derive(Debug)]
pub(crate) struct Python {
    program: PathBuf,
    /// Such as `3.11.2`.
    pub(crate) version: String,
}

/// An installed componentize-py.
pub(super) struct ComponentizePy {
    python: PathBuf,
}

/// componentize-py, installed when it is not yet. Under the cache's lock.
pub(super) async fn componentize_py(
    work: &Path,
    output: &Output,
) -> Result<ComponentizePy, EddyError> {
    let folder = work.join(format!("componentize-py-{VERSION}"));
    let installed = ComponentizePy {
        python: interpreter(&folder),
    };
    // The interpreter that made it may be gone since.
    if folder.is_dir() && installed.works().await {
        return Ok(installed);
    }
    let python = find_python().await?;
    let _progress = progress::start(
        output,
        &format!(
            "Installing componentize-py {VERSION} into {} (once)",
            folder.display()
        ),
    );
    let temporary = work.join("installing.tmp");
    install(&python.program, &temporary).await?;
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&temporary, &folder).map_err(|error| super::unusable(&folder, &error))?;
    Ok(installed)
}

impl ComponentizePy {
    async fn works(&self) -> bool {
        let mut command = Command::new(&self.python);
        command.args(["-I", "-c", "import componentize_py"]);
        let ran = ran(command).await;
        ran.is_ok_and(|done| done.status.success())
    }

    /// Builds the component of the sources in `code`.
    pub(super) async fn build(&self, code: &Path, component: &Path) -> Result<(), EddyError> {
        let mut command = Command::new(&self.python);
        command
            .current_dir(code)
            .args([
                "-I",
                "-c",
                "import componentize_py, sys; sys.exit(componentize_py.script())",
            ])
            .args([
                "-d",
                "wit",
                "-d",
                "runtime-wit",
                "-w",
                "eddy:python/runtime",
            ])
            .args(["componentize", "eddy_runtime", "-p", ".", "-o"])
            .arg(component)
            // Its packages would become part of the runtime.
            .env_remove("VIRTUAL_ENV")
            .env_remove("PYTHONPATH");
        run(
            command,
            "componentize-py could not build the Python runtime",
        )
        .await
        .map_err(|error| {
            error.hint("This is a bug in Eddy, or the disk is full. Free space, then try again.")
        })
    }
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

/// The user's Python: `$EDDY_PYTHON`, else `python3`, else `python`.
///
/// `toolchain-missing` when there is none, or none that will do.
pub(crate) async fn find_python() -> Result<Python, EddyError> {
    if let Some(named) = std::env::var_os("EDDY_PYTHON").filter(|named| !named.is_empty()) {
        return checked(&named).await.unwrap_or_else(|| {
            let named = Path::new(&named).display();
            Err(missing(format!(
                "EDDY_PYTHON names {named}, which cannot be run"
            )))
        });
    }
    for name in ["python3", "python"] {
        if let Some(found) = checked(name.as_ref()).await {
            return found;
        }
    }
    Err(missing(
        "there is no Python here, which builds the runtime of Python apps once".to_owned(),
    ))
}

/// Whether this Python will do; none when there is no such program.
async fn checked(name: &OsStr) -> Option<Result<Python, EddyError>> {
    let mut command = Command::new(name);
    command.args(["-I", "-c", PROBE]);
    let done = ran(command).await.ok()?;
    let shown = Path::new(name).display();
    let text = String::from_utf8_lossy(&done.stdout);
    let Some(version) = parse_version(&text) else {
        return Some(Err(missing(format!("{shown} is no Python 3"))));
    };
    if version < OLDEST {
        let (major, minor) = version;
        return Some(Err(missing(format!(
            "{shown} is Python {major}.{minor}, which is too old"
        ))));
    }
    if !done.status.success() {
        return Some(Err(EddyError::new(
            ErrorCode::ToolchainMissing,
            format!("{shown} cannot make virtual environments: its modules venv and ensurepip are missing"),
        )
        .hint("On Debian and Ubuntu: apt install python3-venv")));
    }
    Some(Ok(Python {
        program: name.into(),
        version: text.lines().next().unwrap_or_default().trim().to_owned(),
    }))
}

/// Major and minor, of `3.11.2`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.lines().next()?.trim().split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn missing(why: String) -> EddyError {
    let (major, minor) = OLDEST;
    EddyError::new(ErrorCode::ToolchainMissing, why).hint(format!(
        "Install Python {major}.{minor} or newer (https://www.python.org/downloads), or name it in EDDY_PYTHON."
    ))
}

async fn install(python: &Path, folder: &Path) -> Result<(), EddyError> {
    let mut command = Command::new(python);
    command.args(["-I", "-m", "venv"]).arg(folder);
    run(command, "Python could not make a virtual environment")
        .await
        .map_err(|error| error.hint("On Debian and Ubuntu: apt install python3-venv"))?;
    let mut command = Command::new(interpreter(folder));
    command
        .args([
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args([
            "--retries",
            "2",
            "--timeout",
            "20",
            "--only-binary",
            ":all:",
            "--no-deps",
        ])
        .arg(format!("componentize-py=={VERSION}"));
    let what = format!("componentize-py {VERSION} could not be installed");
    run(command, &what).await.map_err(|error| {
        error.hint(
            "It comes from the Python package index, once. Check the network; behind a proxy or a mirror set \
             HTTPS_PROXY or PIP_INDEX_URL.",
        )
    })
}

/// What a program printed, and how it ended. It is killed when nobody waits for it any more.
async fn ran(mut command: Command) -> io::Result<Ran> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.output().await
}

/// Runs a program to its end; its last lines are shown when it fails.
async fn run(command: Command, what: &str) -> Result<(), EddyError> {
    let failed = |why: String| EddyError::new(ErrorCode::ToolchainFailed, format!("{what}: {why}"));
    let done = ran(command)
        .await
        .map_err(|error| failed(error.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    let text = [&done.stdout[..], &done.stderr[..]].concat();
    Err(failed(format!(
        "{}\n{}",
        done.status,
        last_lines(&String::from_utf8_lossy(&text))
    )))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("3.11\n"), Some((3, 11)));
        assert_eq!(parse_version("3.11.2\n"), Some((3, 11)));
        assert_eq!(parse_version("Python 2"), None);
        assert!(parse_version("3.9").expect("a version") < OLDEST);
    }

    #[test]
    fn only_the_end_of_much_output_is_shown() {
        let text: String = (0..30).map(|n| format!("line {n}\n")).collect();
        assert!(last_lines(&text).starts_with("line 10\n"));
        assert_eq!(last_lines(""), "");
    }

    #[tokio::test]
    async fn what_is_no_python_is_said_to_be_none() {
        let error = checked("true".as_ref())
            .await
            .expect("there is such a program")
            .expect_err("it is no Python");
        assert_eq!(error.code, ErrorCode::ToolchainMissing);
        let none = checked("no-such-program-anywhere".as_ref()).await;
        assert!(none.is_none());
    }
}
