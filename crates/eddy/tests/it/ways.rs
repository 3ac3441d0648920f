//! The two ways to a node: calls take the native link where there is one, and HTTP where there is
//! not. What comes of them is the same.

use crate::binary::{Ran, command};
use crate::node::{Node, Setup, eventually};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};

const APP: &str = r#"
import { agent, fn, query } from "eddy";
export const counter = agent({
  increment(ctx, { by = 1 }: { by?: number } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  async work(ctx, { ms }) {
    // An agent of its own tells the test that this turn runs.
    await ctx.call("counter", "runs", "increment", {});
    await new Promise((done) => setTimeout(done, ms));
  },
  value: query((ctx) => ctx.state.get("n") ?? 0),
  boom() {
    throw new Error("on purpose");
  },
});
export const greet = fn((ctx, { name }: { name: string }) => `Hello, ${name}!`);
"#;

fn up(dir: &Path) -> Node {
    let app = dir.join("app.ts");
    std::fs::write(&app, APP).unwrap();
    let setup = Setup {
        app: Some(&app),
        ..Setup::default()
    };
    Node::with(&dir.join("data"), &setup)
}

fn eddy(url: &str, args: &[&str]) -> Ran {
    ran(command(args).env("EDDY_URL", url).output().unwrap())
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// How many requests the node answered over links.
fn over_links(node: &Node) -> u64 {
    let address = node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let counts = text
        .lines()
        .filter(|line| line.starts_with("eddy_link_answers"));
    let counts = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    counts.sum()
}

/// What stands in front of a node and speaks HTTP only: anything else gets an answer of HTTP.
fn http_only(node: &Node) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let behind = node.url.strip_prefix("http://").unwrap().to_owned();
    // Both end with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, behind) = (stream.unwrap(), behind.clone());
            std::thread::spawn(move || pass_on(stream, &behind));
        }
    });
    url
}

fn pass_on(mut near: TcpStream, behind: &str) {
    let mut first = [0];
    if near.peek(&mut first).unwrap_or_default() == 0 {
        return;
    }
    if !first[0].is_ascii_uppercase() {
        let _ = near.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = near.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut near, &mut std::io::sink());
        return;
    }
    let far = TcpStream::connect(behind).unwrap();
    let (mut back, mut home) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut home);
        let _ = home.shutdown(Shutdown::Write);
    });
    let mut far = far;
    let _ = std::io::copy(&mut near, &mut far);
    let _ = far.shutdown(Shutdown::Write);
}

/// One node for all of it: compiling an app takes its time in a debug build.
#[test]
fn calls_take_the_link_or_http_and_end_alike() {
    let dir = tempfile::tempdir().unwrap();
    let node = up(dir.path());
    let proxy = http_only(&node);
    calls_take_the_link(&node);
    what_is_accepted_for_later_is_shown(&node, &proxy);
    a_proxy_passes_calls_on_and_none_runs_twice(&node, &proxy);
    let large = format!("@{}", dir.path().join("large").display());
    std::fs::write(&large[1..], format!("\"{}\"", "x".repeat(899_000))).unwrap();
    both_ways_end_alike(&node, &proxy, &large);
}

fn calls_take_the_link(node: &Node) {
    let wanted: [(&[&str], &str); 5] = [
        (
            &["call", "counter/a", "increment", r#"{"by":2}"#],
            r#"{"n":2}"#,
        ),
        (&["call", "counter/a", "value", "--snapshot"], "2"),
        (&["invoke", "greet", r#"{"name":"Ada"}"#], "\"Hello, Ada!\""),
        (&["agent", "delete", "counter/a"], ""),
        (&["call", "counter/a", "value", "--timeout", "20s"], "0"),
    ];
    for (n, (args, text)) in wanted.into_iter().enumerate() {
        let ran = eddy(&node.url, args);
        assert_eq!((ran.code, ran.stdout.trim()), (0, text), "{}", ran.stderr);
        assert_eq!(over_links(node), n as u64 + 1, "{args:?}");
    }
    let ran = eddy(&node.url, &["--json", "call", "counter/a", "value"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let id = document["invocation"].as_str().unwrap();
    assert_eq!((id.len(), &document["result"]), (32, &0.into()));
}

fn what_is_accepted_for_later_is_shown(node: &Node, proxy: &str) {
    let before = over_links(node);
    let invoke = ["invoke", "greet", r#"{"name":"Ada"}"#, "--async"];
    for url in [&node.url, proxy] {
        let ran = eddy(url, &invoke);
        let id = ran.stdout.trim();
        assert_eq!((ran.code, id.len()), (0, 32), "{}", ran.stderr);
        let says = format!("accepted; `eddy invocation {id}` shows it");
        assert_eq!(ran.stderr.trim(), says);
        let ran = eddy(url, &[&["--json"], &invoke[..]].concat());
        let document: Value = serde_json::from_str(&ran.stdout).expect(&ran.stderr);
        assert_eq!(document["target"]["function"], "greet", "{document}");
        let id = document["id"].as_str().unwrap();
        assert_eq!(eddy(url, &["invocation", id]).code, 0);
    }
    assert_eq!(over_links(node), before + 2);
}

fn a_proxy_passes_calls_on_and_none_runs_twice(node: &Node, proxy: &str) {
    let before = over_links(node);
    for n in 1..=3 {
        let ran = eddy(proxy, &["call", "counter/b", "increment"]);
        let text = format!("{{\"n\":{n}}}");
        assert_eq!((ran.code, ran.stdout.trim()), (0, &*text), "{}", ran.stderr);
    }
    assert_eq!(over_links(node), before);
    // The same key by both ways is the same request, with quotes or without.
    for (url, key) in [
        (proxy, "order-1"),
        (&node.url, "order-1"),
        (&node.url, "\"order-1\""),
    ] {
        let args = ["call", "counter/b", "increment", "--idempotency-key", key];
        let ran = eddy(url, &args);
        let text = r#"{"n":4}"#;
        assert_eq!((ran.code, ran.stdout.trim()), (0, text), "{}", ran.stderr);
    }
}

fn both_ways_end_alike(node: &Node, proxy: &str, large: &str) {
    let before = over_links(node);
    let hour = "{\"ms\":3600000}";
    let commands: [&[&str]; 14] = [
        &["call", "counter/a", "fly"],
        &["call", "counter/a", "boom"],
        &["--json", "call", "counter/a", "fly"],
        &["call", "bird/a", "fly"],
        &["call", "Bad Name/a", "fly"],
        &["call", "counter/..", "value"],
        &["call", "counter/a", "value", "--timeout", "0s"],
        &[
            "call",
            "counter/a",
            "value",
            "--timeout",
            "18000000000000000000s",
        ],
        &["call", "counter/a", "value", "--idempotency-key", ""],
        &["call", "counter/a", "work", hour, "--timeout", "100ms"],
        &["invoke", "nothing"],
        &["invoke", "nothing", "--async"],
        &["invoke", "greet", large],
        &["agent", "delete", "bird/a"],
    ];
    for args in commands {
        let (link, http) = (eddy(&node.url, args), eddy(proxy, args));
        assert_eq!(link.code, http.code, "{args:?}: {}", link.stderr);
        assert_eq!(link.stdout, http.stdout, "{args:?}");
        // The URL is part of some.
        let stderr = http.stderr.replace(proxy, &node.url);
        assert_eq!(link.stderr, stderr, "{args:?}");
    }
    assert_eq!(over_links(node), before + 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_meanwhile_cannot_be_reached() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path());
    let mut call = command(&["call", "counter/a", "work", "{\"ms\":3600000}"]);
    call.env("EDDY_URL", &node.url);
    let call = call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let call = call.unwrap();
    eventually(&node, "counter/runs", "value", "1").await;
    node.kill();
    let ran = ran(call.wait_with_output().unwrap());
    assert_eq!((ran.code, &*ran.stdout), (4, ""), "{}", ran.stderr);
    let begins = format!("error[node-unreachable]: no answer from {}/: ", node.url);
    assert!(ran.stderr.starts_with(&begins), "{}", ran.stderr);
    assert!(ran.stderr.contains("eddy up"), "{}", ran.stderr);
}
