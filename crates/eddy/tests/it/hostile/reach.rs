//! What a guest cannot reach: other hosts, this machine, files, the environment of the node.

use super::{Siege, code, deploys::javascript_as, guest, manifest};
use eddy_api::SetTenant;
use eddy_types::ErrorCode;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Somebody on this machine who is not to be reached.
struct Canary {
    port: u16,
    heard: Arc<AtomicUsize>,
}

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = heard.clone();
        thread::spawn(move || {
            for _ in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { port, heard }
    }
}

/// A server that the attacker may reach, and that sends everybody to `target`.
fn redirector(target: String) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            let answer = format!(
                "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// A server that takes connections, and never says a word.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let _kept: Vec<_> = listener.incoming().collect();
    });
    port
}

/// What `reach` told of each request.
fn told(answer: Value) -> Vec<String> {
    serde_json::from_value(answer).expect("a list of texts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_reaches_nothing_that_it_was_not_given() {
    let siege = Siege::begin().await;
    let canary = Canary::new();
    let node_port = siege
        .node
        .url
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let listed = json!({"hosts": ["allowed.example", "*.allowed.example"]});
    let with_hosts = |hosts: &Value| {
        let mut manifest = manifest();
        manifest["capabilities"] = hosts.clone();
        manifest
    };
    siege
        .deploy(with_hosts(&listed), guest())
        .await
        .expect("it deploys");

    // Hosts by name and by address, in every form in which one may be written.
    let port = canary.port;
    let mut urls = vec![
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/latest/meta-data/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        "http://undeclared.example/".to_owned(),
        "http://allowed.example.undeclared.example/".to_owned(),
        "http://notallowed.example/".to_owned(),
        "http://allowed.example:8080/".to_owned(),
        format!("http://127.0.0.1:{node_port}/v1/apps"),
        "file:///etc/passwd".to_owned(),
        "unix:///var/run/docker.sock".to_owned(),
        "ftp://allowed.example/".to_owned(),
        "http://".to_owned(),
        "\0".to_owned(),
    ];
    let here = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "127.0.0.1.",
        "127.0.0.1%00.allowed.example",
        "allowed.example@127.0.0.1",
        "127.0.0.1\u{3002}",
        "\u{2460}27.0.0.1",
        "127.0.0.1#@allowed.example",
        "127.0.0.1\\@allowed.example",
    ];
    urls.extend(here.iter().map(|host| format!("http://{host}:{port}/")));
    let requests: Vec<Value> = urls.iter().map(|url| json!({"url": url})).collect();
    let answers = siege
        .during(5, siege.invoke("reach", json!(requests)))
        .await;
    for (url, told) in urls.iter().zip(told(answers.expect("all are answered"))) {
        let refused = ["capability-denied", "invalid-argument"].contains(&told.as_str());
        assert!(refused, "{url:?}: {told}");
    }

    // Files, sockets, arguments, standard input: there is nothing.
    let found = siege.during(5, siege.invoke("look", json!(port))).await;
    assert_eq!(found.expect("it looks"), json!([]));

    // The environment is the app's own.
    let names = [
        "PATH",
        "HOME",
        "NODE_ONLY",
        "EDDY_SECRET_OTHERS",
        "OTHERS",
        "OWN",
        "",
        "A\0B",
        "OWN=x",
    ];
    let env = siege.invoke("env", json!(names)).await.expect("it asks");
    assert_eq!(env, json!(["own-value", "OWN=own-value"]));

    // A manifest gives no more than the tenant has.
    for host in [
        "localhost",
        "127.0.0.1",
        "10.0.0.1:80",
        "*.localhost",
        "*",
        "*.",
        "http://x",
        "",
    ] {
        let manifest = with_hosts(&json!({"hosts": [host]}));
        let refused = code(siege.deploy(manifest, guest()).await);
        let expected = [ErrorCode::CapabilityDenied, ErrorCode::InvalidManifest];
        assert!(expected.contains(&refused), "{host:?}: {refused:?}");
    }
    let mut with_secret = manifest();
    with_secret["env"] = json!({"X": {"secret": "OTHERS"}});
    let theirs = siege
        .deploy(with_secret.clone(), guest())
        .await
        .expect_err("not its own");
    with_secret["env"] = json!({"X": {"secret": "NOBODY"}});
    let nobodys = siege
        .deploy(with_secret, guest())
        .await
        .expect_err("not there");
    let same = theirs.to_string().replace("OTHERS", "NOBODY");
    assert_eq!(
        same,
        nobodys.to_string(),
        "whether a secret is there does not show"
    );

    assert_eq!(canary.heard.load(Ordering::Relaxed), 0, "it was reached");
    siege.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_reach_one_host_reaches_no_other_through_it() {
    let siege = Siege::begin().await;
    let canary = Canary::new();
    let targets = [
        format!("http://127.0.0.1:{}/", canary.port),
        format!("http://localhost:{}/", canary.port),
        format!("{}/v1/apps", siege.node.url),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    let ports: Vec<u16> = targets.into_iter().map(redirector).collect();
    let hosts: Vec<String> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let silent = format!("127.0.0.1:{}", silent());
    let listed = [hosts.as_slice(), std::slice::from_ref(&silent)].concat();
    let granted = SetTenant {
        hosts: Some(Some(listed.clone())),
        ..SetTenant::default()
    };
    let operator = &siege.operator;
    operator
        .set_tenant("attacker", &granted)
        .await
        .expect("granted");
    let mut manifest = manifest();
    manifest["capabilities"] = json!({"hosts": listed});
    manifest["functions"] = json!({"hold_fetches": {"timeout": "60s"}});
    siege.deploy(manifest, guest()).await.expect("it deploys");

    let requests: Vec<Value> = hosts
        .iter()
        .map(|host| json!({"url": format!("http://{host}/")}))
        .collect();
    let answers = siege
        .during(5, siege.invoke("reach", json!(requests)))
        .await;
    for told in told(answers.expect("all are answered")) {
        assert!(
            // A redirect to what is not HTTP is not followed: it is the answer.
            ["capability-denied", "fetch-failed", "REACHED 302"].contains(&told.as_str()),
            "{told}"
        );
    }
    // Another request within a request.
    let url = format!("http://{}/", hosts[0]);
    let forged: Vec<Value> = [
        ("host", "localhost"),
        ("Host", "localhost"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("connection", "upgrade"),
        ("x", "a\r\nhost: localhost"),
        ("x\r\nhost", "localhost"),
        ("", ""),
    ]
    .iter()
    .map(|header| json!({"url": url, "headers": [header]}))
    .collect();
    let answers = siege.invoke("reach", json!(forged)).await;
    for told in told(answers.expect("all are answered")) {
        assert_eq!(told, "invalid-argument");
    }
    assert_eq!(canary.heard.load(Ordering::Relaxed), 0, "it was reached");

    // What requests under way hold is bounded for the turn.
    let hold = super::within(60);
    let url = json!(format!("http://{silent}/")).to_string().into();
    let held = siege.attacker.invoke("hold_fetches", url, &hold);
    let held = siege.during(5, held).await.expect("it holds some").result;
    let (begun, why): (usize, String) = serde_json::from_slice(&held).expect("two values");
    assert!(begun < 32 && why == "limit-exceeded", "{begun} and {why}");
    siege.ends().await;
}

/// Five guests that each have about as many requests under way as one may: more than their tenant may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_so_many_connections_and_no_more() {
    const DIAL: &str = r#"
import { fn } from "eddy";
export const dial = fn(async (ctx, url) => {
  const told = new Set();
  for (let n = 0; n < 250; n++) ctx.fetch(url).catch((error) => told.add(error.code));
  for (let n = 0; n < 400 && told.size === 0; n++) await new Promise((done) => setTimeout(done, 50));
  return [...told];
});
"#;
    let siege = Siege::begin().await;
    // Nobody takes the connections up: requests stay under way.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = silent.local_addr().expect("an address").to_string();
    let granted = SetTenant {
        hosts: Some(Some(vec![host.clone()])),
        ..SetTenant::default()
    };
    let set = siege.operator.set_tenant("attacker", &granted);
    set.await.expect("granted");
    let mut manifest = manifest();
    manifest["capabilities"] = json!({"hosts": [host]});
    manifest["functions"] = json!({"dial": {"timeout": "60s"}});
    let app = javascript_as(manifest, DIAL);
    siege.attacker.deploy(&app).await.expect("it deploys");
    let url = json!(format!("http://{host}/")).to_string();
    let options = super::within(60);
    let dial = || {
        let url = url.clone().into();
        Box::pin(siege.attacker.invoke("dial", url, &options))
    };
    let first = futures::future::select_all((0..5).map(|_| dial()));
    let (told, ..) = siege.during(5, first).await;
    let told = told.expect("it is told").result;
    assert_eq!(told, r#"["tenant-limit"]"#);
    siege.ends().await;
}
