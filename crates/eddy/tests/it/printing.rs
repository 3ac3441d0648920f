//! What is printed, and what becomes of it when it cannot be: full disks, readers that went away,
//! colours, and usage errors for programs.

use crate::binary::{NOBODY, command, eddy};
use crate::node::{Node, Setup, bench_guest};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn full() -> File {
    let full = File::options().write(true).open("/dev/full");
    full.expect("Linux has /dev/full")
}

/// `eddy` as a client of `node`.
fn client(node: &Node, args: &[&str]) -> Command {
    let mut command = command(args);
    command.env("EDDY_URL", &node.url);
    command
}

#[test]
fn output_that_cannot_be_written_ends_with_74() {
    let dir = tempfile::tempdir().unwrap();
    let guest = bench_guest();
    let setup = Setup {
        app: Some(&guest),
        ..Setup::default()
    };
    let node = Node::with(dir.path(), &setup);
    for args in [&["ls"][..], &["deploy", guest.to_str().unwrap()]] {
        let ran = client(&node, args).stdout(full()).output().unwrap();
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(74), "{args:?}: {stderr}");
        assert!(stderr.contains("written to stdout: No space"), "{stderr}");
        let mut json = client(&node, args);
        let ran = json.arg("--json").stdout(full()).output().unwrap();
        let problem: Value = serde_json::from_slice(&ran.stderr).unwrap();
        assert_eq!(
            (ran.status.code(), &problem["code"]),
            (Some(74), &"internal".into())
        );
    }
    let up = ["up", "--listen", "127.0.0.1:0", "--data"];
    let mut up = command(&up);
    let ran = up.arg(dir.path().join("other")).stdout(full()).output();
    assert_eq!(ran.unwrap().status.code(), Some(74));
}

#[test]
fn a_reader_that_went_away_is_not_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::up(dir.path());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut ls = client(&node, &["ls", "--json"]);
    let ran = ls.stdout(writer).output().unwrap();
    assert_eq!((ran.status.code(), ran.stderr), (Some(0), Vec::new()));
}

#[test]
fn errors_that_cannot_be_written_still_end_with_their_code() {
    for args in [&["ls"][..], &["--json", "ls"]] {
        let status = command(args).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(4), "{args:?}");
    }
}

#[test]
fn programs_get_usage_errors_as_json() {
    for (args, says) in [
        (&["--json"][..], "the command is missing"),
        (&["agent", "--json"], "the command is missing"),
        (&["--json", "agent"], "the command is missing"),
        (&["--json", "bogus"], "unrecognized subcommand 'bogus'"),
        (&["invoke", "--json"], "<FUNCTION>"),
        (
            &["up", "--listen", "here", "--json"],
            "'here' for '--listen <ADDR>'",
        ),
    ] {
        let ran = eddy(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        let problem: Value = serde_json::from_str(&ran.stderr).expect(&ran.stderr);
        assert_eq!(problem["code"], "invalid-argument");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(says) && !detail.contains("error:"),
            "{detail}"
        );
        assert!(
            problem["hint"].as_str().unwrap().contains("--help"),
            "{problem}"
        );
    }
    let version = eddy(&["--json", "--version"]);
    assert_eq!((version.code, version.stderr.as_str()), (0, ""));
    assert!(version.stdout.starts_with("eddy "), "{}", version.stdout);
    // Behind `--` it is an argument of the function, not of the program.
    let text = eddy(&["invoke", "--", "f", "1", "--json"]);
    assert!(text.stderr.starts_with("error: "), "{}", text.stderr);
}

#[test]
fn an_empty_url_in_the_environment_counts_as_unset() {
    let ran = command(&["--json", "ls"]).env("EDDY_URL", "").output();
    // Whether or not a node listens at the default address, the empty one is not an error.
    assert_ne!(ran.unwrap().status.code(), Some(2));
    let ran = eddy(&["--url", "", "ls"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!ran.stderr.contains(NOBODY), "{}", ran.stderr);
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = command(&["up", "--json", "--listen", "127.0.0.1:0", "--data"]);
    up.arg(dir.path())
        .env("EDDY_LOG", "trace")
        .env_remove("NO_COLOR");
    // Into a file: a pipe that nobody reads is full before the node is up.
    let file = dir.path().with_extension("log");
    let log = File::create(&file).unwrap();
    let mut up = up.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut ready = String::new();
    let stdout = up.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut ready).unwrap();
    up.kill().unwrap();
    up.wait().unwrap();
    let log = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(ready.contains("\"url\""), "{log}");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
