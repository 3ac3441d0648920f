//! `eddy up` until it serves: what is answered when, and what it says is deployed.

use crate::binary::command;
use crate::node::{Node, Setup};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A file with one function, which gives `result`: another one is another version.
fn app(dir: &Path, name: &str, result: u32) -> PathBuf {
    let path = dir.join(name).with_extension("ts");
    let text =
        format!("import {{ fn }} from \"eddy\";\nexport const {name} = fn(() => {result});\n");
    std::fs::write(&path, text).unwrap();
    path
}

/// `eddy up` for people, with what it prints in pipes.
fn up(dir: &Path, listen: &str, app: Option<&Path>) -> Child {
    let mut up = command(&["up", "--listen", listen, "--data"]);
    up.arg(dir.join("data"));
    if let Some(app) = app {
        up.arg("--app").arg(app);
    }
    up.stdout(Stdio::piped()).stderr(Stdio::piped());
    up.spawn().unwrap()
}

fn terminate(up: &Child) {
    let pid = up.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.unwrap().success());
}

fn read(from: impl std::io::Read) -> String {
    let mut text = String::new();
    BufReader::new(from).read_to_string(&mut text).unwrap();
    text
}

/// The answer to a GET, when there is one.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_node_that_is_ready_has_its_apps() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let app = app(dir.path(), "greet", 1);
    let mut up = up(dir.path(), &address, Some(&app));
    let first = loop {
        if let Some(answer) = get(&address, "/readyz") {
            break answer;
        }
        assert!(up.try_wait().unwrap().is_none(), "the node ended");
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let apps = get(&address, "/v1/apps").unwrap_or_default();
    up.kill().unwrap();
    up.wait().unwrap();
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    assert!(apps.contains("\"greet\""), "{apps}");
}

#[test]
fn an_address_in_use_is_found_out_before_anything_compiles() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = app(dir.path(), "greet", 1);
    let up = up(dir.path(), &address, Some(&app));
    let ran = up.wait_with_output().unwrap();
    let log = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(6), "{log}");
    assert!(log.contains("error[listen-failed]: "), "{log}");
    assert!(!log.contains("Compiling"), "{log}");
}

#[test]
fn sigterm_ends_a_node_that_still_compiles() {
    let dir = tempfile::tempdir().unwrap();
    let app = app(dir.path(), "greet", 1);
    let mut up = up(dir.path(), "127.0.0.1:0", Some(&app));
    let mut log = BufReader::new(up.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("Compiling") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the node ended");
    }
    terminate(&up);
    let rest = read(log);
    assert_eq!(up.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.starts_with("SIGTERM: "), "{rest}");
}

#[test]
fn apps_that_were_deployed_before_are_announced() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (name, result) in [("first", 1), ("first", 2), ("second", 1)] {
        let app = app(dir.path(), name, result);
        let app = Some(app.as_path());
        let setup = Setup {
            app,
            ..Setup::default()
        };
        Node::with(&data, &setup).terminate();
    }
    let announced = |app: Option<&Path>, json: bool| {
        let mut up = match json {
            false => up(dir.path(), "127.0.0.1:0", app),
            true => {
                let mut up = command(&["up", "--json", "--listen", "127.0.0.1:0", "--data"]);
                up.arg(&data).stdout(Stdio::piped()).spawn().unwrap()
            }
        };
        let mut stdout = BufReader::new(up.stdout.take().unwrap());
        let mut text = String::new();
        stdout.read_line(&mut text).unwrap();
        terminate(&up);
        stdout.read_to_string(&mut text).unwrap();
        up.wait().unwrap();
        text
    };
    let ready: Value = serde_json::from_str(&announced(None, true)).unwrap();
    let apps: Vec<_> = ready["apps"].as_array().unwrap().iter().collect();
    let apps: Vec<_> = apps
        .iter()
        .map(|app| (&app["name"], &app["version"]))
        .collect();
    assert_eq!(
        apps,
        [(&"first".into(), &2.into()), (&"second".into(), &1.into())]
    );
    let text = announced(None, false);
    assert!(
        text.ends_with("\n\nfirst version 2 is deployed.\nsecond version 1 is deployed.\n"),
        "{text}"
    );
    let text = announced(Some(&app(dir.path(), "second", 2)), false);
    let stored = "\n\nfirst version 2 is deployed.\n\nsecond version 2 is deployed. Try:\n  curl ";
    assert!(text.contains(stored), "{text}");
}

#[test]
fn a_node_has_as_many_files_open_as_the_system_allows() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["sh", "-c", "ulimit -Sn 512 && exec \"$@\"", "sh"];
    let setup = Setup {
        runner: few.map(str::to_owned).to_vec(),
        ..Setup::default()
    };
    let node = Node::with(dir.path(), &setup);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut files = files.expect("Linux says so").split_whitespace().skip(3);
    let (soft, hard) = (files.next().unwrap(), files.next().unwrap());
    assert_ne!(soft, "512");
    assert_eq!(soft, hard);
}
