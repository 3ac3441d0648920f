//! What guests log, as people and programs get to see it.

use crate::binary::{command, transcript};
use crate::node::{Node, Setup};
use eddy_api::{LogQuery, PageQuery};
use eddy_types::ErrorCode;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

const TALKER: &str = r#"
import { agent, fn, query } from "eddy";

export const cart = agent({
  add(ctx, { sku = "apple" } = {}) {
    ctx.log("one", sku);
    ctx.log.debug("step by step");
  },
  refuse(ctx) {
    ctx.log.warn("not today");
    throw new Error("out of stock");
  },
  look: query((ctx) => ctx.log("looked at")),
});
export const greet = fn((ctx) => { console.error("hello\nworld"); });
"#;

struct Fixture {
    node: Node,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (node, dir) = Node::scripted("talker.ts", TALKER);
        Self { node, _dir: dir }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("EDDY_URL", &self.node.url);
        command
    }

    /// What `eddy logs` prints, without what is new each time.
    fn logs(&self, args: &[&str]) -> String {
        let ran = self.command(&[&["logs"], args].concat()).output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// `eddy logs -f` under way, with what it prints.
    fn follow(&self, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
        let mut command = self.command(&[&["logs", "-f"], args].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        (child, BufReader::new(stdout))
    }
}

fn line(from: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([name, &pid])
            .status()
            .unwrap()
            .success()
    );
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d\d:\d\d:\d\d\.\d{3}", "[time]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\[time\]Z", "[at]");
    settings.add_filter(r"[0-9a-f]{32}", "[invocation]");
    settings.add_filter(r#""id":"[0-9a-f]+-"#, r#""id":"[epoch]-"#);
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_all_that_ran_and_of_some_of_it() {
    let f = Fixture::new();
    f.node.call("cart/alice", "add", "{}").await.unwrap();
    f.node
        .call("cart/a/b", "add", r#"{"sku":"pear"}"#)
        .await
        .unwrap();
    f.node
        .call("cart/alice", "refuse", "null")
        .await
        .unwrap_err();
    f.node.call("cart/alice", "look", "null").await.unwrap();
    f.node.invoke("greet", "null").await.unwrap();
    let runs: [&[&str]; 10] = [
        &[],
        &["--json"],
        &["--agent", "cart/a/b"],
        &["--agent", "cart", "--level", "warn"],
        &["--function", "greet"],
        &["--app", "other"],
        &["--limit", "2"],
        &["--since", "1h", "--level", "error"],
        &["--since", "2100-01-01T00:00:00Z"],
        &["--invocation", "00000000000000000000000000000000"],
    ];
    let mut text = String::new();
    for args in runs {
        text += &transcript(&[&["logs"], args].concat(), &f.logs(args), "", 0);
    }
    for args in [
        ["--since", "soon"],
        ["--agent", "/alice"],
        ["--invocation", "7"],
    ] {
        let ran = f
            .command(&[&["logs"], &args[..]].concat())
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        let told = String::from_utf8(ran.stderr).unwrap();
        text += &transcript(&[&["logs"], &args[..]].concat(), "", &told, 2);
    }
    settings().bind(|| insta::assert_snapshot!(text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_goes_on_until_a_signal() {
    let f = Fixture::new();
    f.node.call("cart/alice", "add", "{}").await.unwrap();
    let (mut child, mut out) = f.follow(&["--limit", "1", "--agent", "cart"]);
    assert!(line(&mut out).contains("step by step"));
    f.node.invoke("greet", "null").await.unwrap();
    f.node.call("cart/bob", "refuse", "null").await.unwrap_err();
    assert!(line(&mut out).contains("warn  cart/bob refuse not today"));
    assert!(line(&mut out).contains("error cart/bob refuse failed: guest-error: "));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_ends_with_an_error_when_the_node_goes() {
    for (kill, code) in [(false, "shutting-down"), (true, "connection-lost")] {
        let mut f = Fixture::new();
        f.node.invoke("greet", "null").await.unwrap();
        let (mut child, mut out) = f.follow(&["--json"]);
        assert!(line(&mut out).contains("hello"));
        if kill {
            f.node.kill();
        } else {
            assert_eq!(f.node.terminate().code(), Some(0));
        }
        let mut told = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5), "{told}");
        let problem: serde_json::Value = serde_json::from_str(&told).expect(&told);
        assert_eq!(problem["code"], code);
        assert!(problem["hint"].is_string(), "{told}");
    }
}

/// A stream over plain HTTP, without the client: how browsers and curl see it.
fn stream(node: &Node, path: &str, headers: &str) -> BufReader<TcpStream> {
    let address = node.url.strip_prefix("http://").unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    tcp.write_all(request.as_bytes()).unwrap();
    BufReader::new(tcp)
}

/// The next line of a stream that begins so, without that.
fn field(stream: &mut impl std::io::BufRead, name: &str) -> String {
    loop {
        let line = line(stream);
        assert!(!line.is_empty(), "the stream ended");
        if let Some(rest) = line.strip_prefix(name) {
            return rest.trim().to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_resumes_after_the_last_event() {
    let f = Fixture::new();
    f.node.call("cart/alice", "add", "{}").await.unwrap();
    let mut first = stream(&f.node, "/v1/logs", "accept: text/event-stream\r\n");
    assert_eq!(field(&mut first, "content-type: "), "text/event-stream");
    let id = field(&mut first, "id: ");
    drop(first);
    f.node.invoke("greet", "null").await.unwrap();
    let last = format!("last-event-id: {id}\r\n");
    let mut again = stream(&f.node, "/v1/logs?follow=true", &last);
    assert!(field(&mut again, "data: ").contains("step by step"));
    assert!(field(&mut again, "data: ").contains("hello\\nworld"));
    let mut other_life = stream(&f.node, "/v1/logs?follow=true", "last-event-id: 1-1\r\n");
    assert_eq!(field(&mut other_life, "event: "), "missed");
    assert_eq!(field(&mut other_life, "data: "), r#"{"lines":null}"#);
    assert!(field(&mut other_life, "data: ").contains("one apple"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_requests_for_the_log_are_refused() {
    let f = Fixture::new();
    let query = LogQuery {
        level: Some("loud".into()),
        ..LogQuery::default()
    };
    let error = f.node.client.follow_logs(&query, None).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    for (path, headers) in [
        ("/v1/logs?follow=true&cursor=1-1", ""),
        ("/v1/logs?cursor=1-1", ""),
        ("/v1/logs?loud=1", ""),
        ("/v1/logs?follow=true", "last-event-id: x\r\n"),
    ] {
        let status = line(&mut stream(&f.node, path, headers));
        assert!(status.contains(" 400 "), "{path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_own_log_has_no_words_of_a_guest() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    std::fs::create_dir(&app).unwrap();
    let manifest = "name = \"liar\"\n[agents.liar.retries]\nattempts = 1\n";
    let code = r#"
import { agent } from "eddy";
export const liar = agent({
  begin(ctx) { ctx.send("liar", "b", "fail"); },
  fail() { throw new Error("sorry\nERROR the disk is full"); },
});
"#;
    std::fs::write(app.join("eddy.toml"), manifest).unwrap();
    std::fs::write(app.join("main.ts"), code).unwrap();
    let setup = Setup {
        app: Some(&app),
        ..Setup::default()
    };
    let node = Node::with(&dir.path().join("data"), &setup);
    node.call("liar/a", "begin", "null").await.unwrap();
    let page = PageQuery::default();
    while node
        .client
        .dead_letters(&page)
        .await
        .unwrap()
        .items
        .is_empty()
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    node.ask_to_end();
    let (_, log) = node.ended();
    let told = log.lines().find(|line| line.contains("dead letter"));
    let told = told.expect("the operator is told");
    assert!(
        told.contains("guest-error") && told.contains("liar/b"),
        "{told}"
    );
    assert!(!log.contains("disk is full"), "{log}");
}
