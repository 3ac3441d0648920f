//! What takes long to build: saves and signals meanwhile.

use crate::binary::command;
use crate::dev::{DEV, Dev};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A Rust project whose cargo is a script: it takes what is saved, says so, and ends when it may.
fn slow_to_build() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("eddy.toml", "name = \"slow\"\n");
    write("Cargo.toml", "");
    write("src/lib.rs", "first");
    write(
        "bin/cargo",
        "#!/bin/sh\ncp src/lib.rs seen\ntouch building\n\
         while [ -e building ] && [ ! -e built ]; do sleep 0.02; done\ncat seen >&2\nexit 1\n",
    );
    dir
}

/// Starts a command that finds this cargo, and comes back when the project is being built.
fn when_building<T>(project: &Path, command: &mut Command, start: impl Fn(&mut Command) -> T) -> T {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", project.join("bin").display());
    let started = start(command.env("PATH", path));
    while !project.join("building").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    started
}

#[test]
fn a_save_while_the_first_build_runs_is_built_after_it() {
    let project = slow_to_build();
    let mut dev = when_building(project.path(), command(&DEV).arg(project.path()), Dev::from);
    fs::write(project.path().join("src/lib.rs"), "second").unwrap();
    fs::write(project.path().join("built"), "").unwrap();
    for saved in ["first", "second"] {
        let failed = dev.wait_for("failed");
        let detail = failed["error"]["detail"].as_str().unwrap();
        assert!(detail.ends_with(saved), "{failed}");
    }
}

#[test]
fn a_signal_is_heard_while_something_is_built() {
    let project = slow_to_build();
    let mut dev = when_building(project.path(), command(&DEV).arg(project.path()), Dev::from);
    assert_eq!(dev.terminate(), Some(0));
}

#[test]
fn so_it_is_before_a_node_has_started() {
    let project = slow_to_build();
    let data = tempfile::tempdir().unwrap();
    let mut command = command(&["up", "--listen", "127.0.0.1:0", "--data"]);
    let command = command.arg(data.path()).arg("--app").arg(project.path());
    let mut up = when_building(project.path(), command, |command| {
        command.stderr(Stdio::piped()).spawn().unwrap()
    });
    let pid = up.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.unwrap().success());
    let mut log = String::new();
    up.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(0), "{log}");
    assert!(
        log.ends_with("SIGTERM: ended before the node had started\n"),
        "{log}"
    );
}
