//! What goes wrong with a guest or a request: each has its own documented error, others keep being
//! served, and nothing acknowledged is lost. What goes wrong with the disk is in disk.rs.

use crate::node::{Node, Setup, bench_guest};
use eddy_api::CallOptions;
use eddy_types::{EddyError, ErrorCode};
use std::time::Duration;

struct Fixture {
    node: Node,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let guest = bench_guest();
        let node = Node::with(
            dir.path(),
            &Setup {
                app: Some(&guest),
                ..Setup::default()
            },
        );
        Self { node, _dir: dir }
    }

    /// The node still serves, and what it was told before is there.
    async fn still_serves(&self) {
        let n = self
            .node
            .call("counter/bystander", "increment", "null")
            .await;
        assert!(n.is_ok(), "{n:?}");
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, EddyError>) -> ErrorCode {
    result.expect_err("it has to fail").code
}

fn within(seconds: u64) -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs(seconds)),
        ..CallOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throw_discards_what_the_turn_wrote_and_is_the_reply() {
    let f = Fixture::new();
    f.node
        .call("counter/a", "increment", r#"{"by":5}"#)
        .await
        .unwrap();
    let thrown = f
        .node
        .call("counter/a", "fail_after_write", "null")
        .await
        .unwrap_err();
    assert_eq!(thrown.code, ErrorCode::GuestError);
    assert!(thrown.guest.is_some());
    assert_eq!(
        f.node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":5}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_discards_what_the_turn_wrote() {
    let f = Fixture::new();
    f.node
        .call("counter/a", "increment", r#"{"by":5}"#)
        .await
        .unwrap();
    assert_eq!(
        code(f.node.call("counter/a", "trap_after_write", "null").await),
        ErrorCode::GuestTrap
    );
    assert_eq!(
        f.node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":5}"#
    );
    f.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_ends_at_its_deadline_and_holds_nobody_up() {
    let f = Fixture::new();
    let (node, options) = (&f.node, within(2));
    let spin = node.call_with("counter/a", "spin", "null", &options);
    let (spun, beside) = tokio::join!(spin, node.call("counter/b", "increment", "null"));
    assert_eq!(code(spun), ErrorCode::DeadlineExceeded);
    assert!(beside.is_ok(), "{beside:?}");
    assert_eq!(
        f.node.call("counter/a", "increment", "null").await.unwrap(),
        r#"{"n":1}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_functions_have_their_own_errors() {
    let f = Fixture::new();
    let cases = [
        ("hog", ErrorCode::MemoryLimit),
        ("stack", ErrorCode::GuestTrap),
        ("trap", ErrorCode::GuestTrap),
        ("garbage", ErrorCode::InvalidResult),
        ("fail", ErrorCode::GuestError),
        ("nothing_of_that_name", ErrorCode::UnknownFunction),
    ];
    for (function, wanted) in cases {
        assert_eq!(
            code(f.node.invoke(function, "null").await),
            wanted,
            "{function}"
        );
        f.still_serves().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_have_their_own_errors() {
    let f = Fixture::new();
    let call =
        async |agent: &str, method: &str, body: &str| code(f.node.call(agent, method, body).await);
    assert_eq!(
        call("counter/a", "increment", "{oops").await,
        ErrorCode::InvalidJson
    );
    assert_eq!(
        call("counter/a", "no_such_method", "null").await,
        ErrorCode::UnknownMethod
    );
    assert_eq!(
        call("nobody/a", "increment", "null").await,
        ErrorCode::UnknownAgentType
    );
    assert_eq!(
        call("counter/a", "write_in_query", "null").await,
        ErrorCode::WriteInQuery
    );
    let large = format!("\"{}\"", "x".repeat(100 << 20));
    let refused = f
        .node
        .call("counter/a", "increment", &large)
        .await
        .unwrap_err();
    // The node may close the connection while the client still writes.
    assert!(matches!(
        refused.code,
        ErrorCode::PayloadTooLarge | ErrorCode::NodeUnreachable
    ));
    f.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_writes_too_much_commits_nothing() {
    let f = Fixture::new();
    let put = async |key: &str, bytes: usize| {
        f.node
            .call(
                "counter/a",
                "put",
                &format!(r#"{{"key":"{key}","bytes":{bytes}}}"#),
            )
            .await
    };
    put("small", 100_000).await.unwrap();
    assert_eq!(
        code(put("large", 2_000_000).await),
        ErrorCode::RecordTooLarge
    );
    assert_eq!(
        f.node.call("counter/a", "sum", "null").await.unwrap(),
        "100000"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_cycle_is_refused_at_once() {
    let f = Fixture::new();
    let cycle = r#"{"type":"counter","key":"b","method":"forward",
        "arg":{"type":"counter","key":"a","method":"increment","arg":null}}"#;
    assert_eq!(
        code(f.node.call("counter/a", "forward", cycle).await),
        ErrorCode::CallCycle
    );
    f.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_not_awaited_is_cancelled_and_the_turn_ends() {
    let f = Fixture::new();
    let call = r#"{"type":"counter","key":"b","method":"spin","arg":null}"#;
    assert!(f.node.call("counter/a", "keep_pending", call).await.is_ok());
    f.still_serves().await;
}
