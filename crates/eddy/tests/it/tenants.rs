//! Two tenants on one node: the same names, nothing in common, and no sign of each other.

use crate::binary::{Ran, command};
use crate::node::{Node, Setup, bench_guest};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `eddy` with a token.
pub(crate) fn with(node: &Node, token: &str, args: &[&str]) -> Ran {
    let mut command = command(args);
    command.env("EDDY_URL", &node.url).env("EDDY_TOKEN", token);
    let output = command.output().expect("the binary runs");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

pub(crate) fn good(ran: Ran) -> String {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.trim_end().to_owned()
}

/// A node with an operator, whose token is the answer's second part.
pub(crate) fn guarded(data: &Path) -> (Node, String) {
    let data_arg = data.to_str().expect("a UTF-8 path");
    let made = command(&["token", "create", "--role", "operator", "--data", data_arg])
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{made:?}");
    let operator = String::from_utf8(made.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned();
    (Node::up(data), operator)
}

/// Makes a tenant with the app of the benchmarks, and an admin of it.
fn tenant(node: &Node, operator: &str, name: &str) -> String {
    good(with(node, operator, &["tenant", "set", name]));
    let create = ["--tenant", name, "token", "create", "--role", "admin"];
    let admin = good(with(node, operator, &create));
    let guest = bench_guest();
    good(with(
        node,
        &admin,
        &["deploy", guest.to_str().expect("a path")],
    ));
    admin
}

#[test]
fn two_tenants_share_names_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (node, operator) = guarded(dir.path());
    let (a, b) = (tenant(&node, &operator, "a"), tenant(&node, &operator, "b"));
    let increment = ["call", "counter/x", "increment"];
    for expected in ["{\"n\":1}", "{\"n\":2}"] {
        assert_eq!(good(with(&node, &a, &increment)), expected);
    }
    assert_eq!(
        good(with(&node, &b, &increment)),
        "{\"n\":1}",
        "an agent of its own"
    );
    good(with(&node, &a, &["call", "counter/secret", "increment"]));

    // What `b` lists is its own.
    let agents = good(with(&node, &b, &["agents", "counter"]));
    assert!(
        agents.contains('x') && !agents.contains("secret"),
        "{agents}"
    );
    let ran = good(with(
        &node,
        &a,
        &["--json", "call", "counter/x", "increment"],
    ));
    let id = serde_json::from_str::<serde_json::Value>(&ran).unwrap()["invocation"].clone();
    let id = id.as_str().unwrap();
    assert_eq!(with(&node, &a, &["invocations", id]).code, 0);
    let (theirs, nobodys) = (
        with(&node, &b, &["invocations", id]),
        with(&node, &b, &["invocations", &"0".repeat(32)]),
    );
    assert_eq!((theirs.code, nobodys.code), (3, 3));
    assert_eq!(
        theirs.stderr.replace(id, ""),
        nobodys.stderr.replace(&"0".repeat(32), "")
    );
    let listed = good(with(&node, &b, &["--json", "invocations"]));
    assert!(!listed.contains(id), "{listed}");
    let tenants = good(with(&node, &b, &["--json", "tenant", "list"]));
    assert!(!tenants.contains("\"a\""), "{tenants}");

    // A document of an agent goes from one to the other by their own hands only.
    let file = dir.path().join("x.json");
    let file = file.to_str().expect("a UTF-8 path");
    good(with(&node, &a, &["agent", "export", "counter/x", file]));
    let import = ["agent", "import", "counter/from-a", file];
    good(with(&node, &b, &import));
    let exported = |token: &str, address: &str| {
        let text = good(with(&node, token, &["--json", "agent", "export", address]));
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        document["state"].clone()
    };
    assert_eq!(exported(&b, "counter/from-a"), exported(&a, "counter/x"));
    let theirs = with(&node, &b, &["agent", "export", "counter/secret"]);
    let nobodys = with(&node, &b, &["agent", "export", "counter/nobody"]);
    assert_eq!((theirs.code, nobodys.code), (3, 3));
    let same = theirs.stderr.replace("secret", "nobody");
    assert_eq!(same, nobodys.stderr);
    good(with(&node, &b, &["agent", "delete", "counter/from-a"]));

    // What `a` does to its app, `b` does not notice.
    good(with(&node, &a, &["agent", "delete", "counter/x"]));
    assert_eq!(good(with(&node, &b, &increment)), "{\"n\":2}");
    // An operator acts for either.
    let all = good(with(
        &node,
        &operator,
        &["--tenant", "b", "agents", "counter"],
    ));
    assert!(all.contains('x'), "{all}");
}

/// What a request with a wrong name may be told: a name of its own tenant, if it may list that.
#[tokio::test]
async fn a_wrong_name_is_told_the_nearest_of_ones_own_only() {
    let dir = tempfile::tempdir().unwrap();
    let (node, operator) = guarded(dir.path());
    let a = tenant(&node, &operator, "a");
    good(with(&node, &operator, &["tenant", "set", "b"]));
    let token = |tenant: &str, role: &str| {
        let create = ["--tenant", tenant, "token", "create", "--role", role];
        good(with(&node, &operator, &create))
    };
    let (caller, b) = (token("a", "call"), token("b", "admin"));
    let asked: [&[&str]; 4] = [
        &["call", "countre/x", "increment"],
        &["call", "counter/x", "incremnt"],
        &["call", "counter/x", "valeu", "--snapshot"],
        &["agents", "countre"],
    ];
    for (args, meant) in asked
        .iter()
        .zip(["counter", "increment", "value", "counter"])
    {
        let own = with(&node, &a, args);
        let hint = format!("Did you mean `{meant}`?");
        assert!(own.stderr.contains(&hint), "{args:?}: {}", own.stderr);
        // One who may call, but not list; and one who has nothing of the kind.
        for stranger in [&caller, &b] {
            let told = with(&node, stranger, args);
            assert_ne!(told.code, 0);
            assert!(!told.stderr.contains("Did you mean"), "{}", told.stderr);
        }
    }
    // The same over HTTP, which the command line takes for some requests only.
    let over_http = async |token: &str| {
        let client = eddy_api::Client::with(
            &node.url,
            &eddy_api::Credentials {
                token: Some(token.to_owned()),
                ..Default::default()
            },
        );
        let options = eddy_api::CallOptions::default();
        let client = client.expect("a client");
        let answer = client.call("counter", "x", "incremnt", "null".into(), &options);
        answer
            .await
            .expect_err("no such method")
            .hint
            .expect("a hint")
    };
    assert!(
        over_http(&a)
            .await
            .starts_with("Did you mean `increment`? `eddy ls`")
    );
    assert!(over_http(&caller).await.starts_with("`eddy ls`"));
}

#[test]
fn tokens_and_tenants_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (mut node, operator) = guarded(dir.path());
    let admin = tenant(&node, &operator, "a");
    let revoked = good(with(
        &node,
        &admin,
        &["--json", "token", "create", "--role", "read"],
    ));
    let revoked: serde_json::Value = serde_json::from_str(&revoked).unwrap();
    good(with(
        &node,
        &admin,
        &["token", "revoke", revoked["id"].as_str().unwrap()],
    ));
    node.kill();
    let file = std::fs::read_to_string(dir.path().join("access.json")).unwrap();
    for token in [&operator, &admin] {
        let secret = token.rsplit('_').next().unwrap();
        assert!(!file.contains(secret), "a secret is on disk");
    }
    let node = Node::up(dir.path());
    good(with(&node, &admin, &["call", "counter/x", "increment"]));
    let refused = with(&node, revoked["token"].as_str().unwrap(), &["ls"]);
    assert!(
        refused.stderr.contains("error[unauthenticated]"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_node_that_others_reach_needs_tokens_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there: the node is not to come so far.
    let everywhere = |args: Vec<&'static str>| Setup {
        listen: Some("0.0.0.0:0".to_owned()),
        args,
        ..Setup::default()
    };
    let refused = Node::start(dir.path(), &everywhere(vec!["--plain-http"]));
    let (status, log) = refused.err().expect("there are no tokens");
    assert_eq!(status.code(), Some(6));
    assert!(
        log.contains("insecure-listen") && log.contains("no tokens"),
        "{log}"
    );
    drop(guarded(dir.path()));
    let refused = Node::start(dir.path(), &everywhere(vec![]));
    let (_, log) = refused.err().expect("there is no TLS");
    assert!(log.contains("plain text"), "{log}");
}

#[test]
fn a_tenant_that_stores_too_much_may_only_delete() {
    let dir = tempfile::tempdir().unwrap();
    let (node, operator) = guarded(dir.path());
    let admin = tenant(&node, &operator, "a");
    let other = tenant(&node, &operator, "b");
    good(with(
        &node,
        &operator,
        &["tenant", "set", "a", "--storage", "1KiB"],
    ));
    let call = |token: &str, args: &[&str]| with(&node, token, args);
    let increment = ["call", "counter/x", "increment"];
    // It is counted within seconds: the code alone is larger than that.
    let full = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        call(&admin, &increment)
            .stderr
            .contains("error[storage-limit]")
    });
    assert!(full, "it is never refused");
    let value = good(call(&admin, &["call", "counter/x", "value"]));
    assert!(value.starts_with("{\"n\":"), "reading goes on: {value}");
    good(call(&admin, &["agent", "delete", "counter/x"]));
    assert_eq!(good(call(&other, &increment)), "{\"n\":1}");
    let shown = good(call(&operator, &["--json", "tenant", "show", "a"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(
        shown["usage"]["storage_bytes"].as_u64().unwrap() > 1024,
        "{shown}"
    );
    good(with(
        &node,
        &operator,
        &["tenant", "set", "a", "--storage", "none"],
    ));
    assert_eq!(good(call(&admin, &increment)), "{\"n\":1}");
}

/// Both at once, one of them as hard as it can, and neither sees more than its own.
#[test]
fn a_tenant_that_hammers_stays_invisible_to_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (node, operator) = guarded(dir.path());
    let (a, b) = (tenant(&node, &operator, "a"), tenant(&node, &operator, "b"));
    let limits = ["tenant", "set", "a", "--rate", "5", "--concurrency", "2"];
    good(with(&node, &operator, &limits));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hammer = |n: usize| {
            let key = format!("counter/hammer{n}");
            let mut refused = 0;
            while !over.load(Ordering::Relaxed) {
                let ran = with(&node, &a, &["call", &key, "increment"]);
                refused += usize::from(ran.stderr.contains("error[tenant-limit]"));
            }
            refused
        };
        let hammers: Vec<_> = (0..4).map(|n| scope.spawn(move || hammer(n))).collect();
        for expected in 1..=20 {
            let got = good(with(&node, &b, &["call", "counter/own", "increment"]));
            assert_eq!(got, format!("{{\"n\":{expected}}}"));
            let agents = good(with(&node, &b, &["agents", "counter"]));
            assert!(!agents.contains("hammer"), "{agents}");
            let ran = good(with(
                &node,
                &b,
                &["--json", "invocations", "--limit", "1000"],
            ));
            assert!(!ran.contains("hammer"), "{ran}");
        }
        over.store(true, Ordering::Relaxed);
        let refused: usize = hammers
            .into_iter()
            .map(|h| h.join().expect("it ends"))
            .sum();
        assert!(refused > 0, "its limits were never met");
    });
}
