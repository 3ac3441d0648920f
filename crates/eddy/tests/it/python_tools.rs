//! What `eddy deploy` says when the Python runtime cannot be built. Needs neither Python nor a network: the
//! interpreters here are scripts.

use crate::binary::{Ran, command, finish};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Deploys a Python file with this script as the interpreter; none for a name that is nowhere.
fn deploy_with(interpreter: Option<&str>) -> (Ran, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (app, cache) = (dir.path().join("hello.py"), dir.path().join("cache"));
    fs::write(&app, "").unwrap();
    let python = interpreter_in(dir.path(), interpreter);
    let output = command(&["deploy", app.to_str().unwrap()])
        .env("EDDY_CACHE_DIR", &cache)
        .env("EDDY_PYTHON", &python)
        .output()
        .unwrap();
    let shown = |text: Vec<u8>| {
        let text = String::from_utf8(text).unwrap();
        text.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let ran = Ran {
        code: output.status.code().unwrap(),
        stdout: shown(output.stdout),
        stderr: shown(output.stderr),
    };
    (ran, left_in(&cache.join("python")))
}

/// Where this script is, as an interpreter.
fn interpreter_in(dir: &Path, script: Option<&str>) -> PathBuf {
    let python = dir.join("python");
    if let Some(script) = script {
        fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    }
    python
}

fn left_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn each_way_to_have_no_python_says_what_to_do() {
    let interpreters = [
        None,
        Some("echo Perl"),
        Some("echo 3.6"),
        Some("echo 3.12; exit 1"),
    ];
    let mut text = String::new();
    for interpreter in interpreters {
        let (ran, _) = deploy_with(interpreter);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        text += &format!("{}\n", ran.stderr);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_failed_installation_is_shown_and_leaves_nothing_that_counts() {
    // Makes an environment whose own interpreter cannot install anything.
    let script = r#"case "$*" in
*"-m venv"*) mkdir -p "$4/bin" && printf '#!/bin/sh\necho no route to the index >&2\nexit 1\n' > "$4/bin/python" && chmod +x "$4/bin/python";;
*) echo 3.12;;
esac"#;
    let (ran, left) = deploy_with(Some(script));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr);
    // Under its temporary name: the next run begins anew.
    assert_eq!(left, ["installing.tmp", "lock"]);
}

/// What stands in the way of a deploy, `eddy doctor` sees.
#[test]
fn doctor_asks_what_a_deploy_asks() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let scripts = [
        (
            "echo 3.12.1; exit 1",
            "warn",
            "its modules venv and ensurepip are missing",
        ),
        ("echo 3.6.0", "warn", "is Python 3.6, which is too old"),
        ("echo 3.12.1", "ok", "Python 3.12.1"),
    ];
    for (script, status, found) in scripts {
        let python = interpreter_in(dir.path(), Some(script));
        let mut doctor = command(&["doctor", "--json", "--listen", "127.0.0.1:0", "--data"]);
        let ran = finish(doctor.arg(&data).env("EDDY_PYTHON", &python));
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let mut checks = report["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["name"] == "python").unwrap();
        assert_eq!(check["status"], status, "{check}");
        assert!(check["found"].as_str().unwrap().contains(found), "{check}");
        assert_eq!(check["advice"].is_string(), status != "ok", "{check}");
    }
}

/// Sends SIGTERM to `eddy up` of a Python app once `is_time` says so of a line that it printed.
fn up_until(dir: &Path, python: &Path, is_time: impl Fn(&str) -> bool) -> (Option<i32>, String) {
    let app = dir.join("hello.py");
    fs::write(&app, "").unwrap();
    let mut up = command(&["up", "--listen", "127.0.0.1:0", "--data"]);
    up.arg(dir.join("data")).arg("--app").arg(&app);
    up.env("EDDY_CACHE_DIR", dir.join("cache"))
        .env("EDDY_PYTHON", python);
    let mut up = up.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(up.stderr.take().unwrap());
    let mut line = String::new();
    while !is_time(&line) {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
    }
    let pid = up.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    (up.wait().unwrap().code(), rest)
}

const ENDED: &str = "SIGTERM: ended before the node had started\n";

#[test]
fn who_waits_for_another_eddy_hears_signals() {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("cache/python");
    fs::create_dir_all(&work).unwrap();
    let other = fs::File::create(work.join("lock")).unwrap();
    other.lock().unwrap();
    let python = interpreter_in(dir.path(), None);
    let ended = up_until(dir.path(), &python, |line| {
        line.starts_with("Waiting for another eddy")
    });
    assert_eq!(ended, (Some(0), ENDED.to_owned()));
}

#[test]
fn a_signal_ends_what_installs() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!(
        "case \"$*\" in *\"-m venv\"*) echo $$ > '{0}.tmp'; mv '{0}.tmp' '{0}'; exec sleep 300;; esac; echo 3.12",
        pid.display()
    );
    let python = interpreter_in(dir.path(), Some(&script));
    let begun = |line: &str| {
        while line.starts_with("Installing") && !pid.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        line.starts_with("Installing")
    };
    let ended = up_until(dir.path(), &python, begun);
    assert_eq!(ended, (Some(0), ENDED.to_owned()));
    let installer = fs::read_to_string(pid).unwrap();
    let proc = Path::new("/proc").join(installer.trim()).join("cmdline");
    // What is left of one that ended and was not waited for yet is empty.
    for _ in 0..600 {
        if fs::read_to_string(&proc).unwrap_or_default().is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{installer} still runs");
}
