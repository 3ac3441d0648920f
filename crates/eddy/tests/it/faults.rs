//! What goes wrong with a guest, a request or the disk: each has its own documented error, others
//! keep being served, and nothing acknowledged is lost.

use crate::node::{Node, Setup, bench_guest};
use eddy_api::CallOptions;
use eddy_types::{EddyError, ErrorCode};
use std::path::{Path, PathBuf};
use std::time::Duration;

struct Fixture {
    node: Node,
    dir: tempfile::TempDir,
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
        Self { node, dir }
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
async fn two_chains_that_wait_for_each_other_both_end() {
    let f = Fixture::new();
    // a holds itself while it sleeps, then calls b; b the other way round. Tried a few times: the
    // two have to overlap for a deadlock, and in every case both must end.
    let forward =
        |to: &str| format!(r#"{{"type":"counter","key":"{to}","method":"increment","arg":null}}"#);
    let mut deadlocks = 0;
    for _ in 0..50 {
        let (a, b) = (forward("b"), forward("a"));
        let (left, right) = tokio::join!(
            f.node.call("counter/a", "forward", &a),
            f.node.call("counter/b", "forward", &b)
        );
        for result in [left, right] {
            match result {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::Deadlock, "{error}");
                    deadlocks += 1;
                }
            }
        }
    }
    eprintln!("{deadlocks} deadlocks in 50 pairs");
    f.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_not_awaited_is_cancelled_and_the_turn_ends() {
    let f = Fixture::new();
    let call = r#"{"type":"counter","key":"b","method":"spin","arg":null}"#;
    assert!(f.node.call("counter/a", "keep_pending", call).await.is_ok());
    f.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_on_the_same_folder_is_refused() {
    let f = Fixture::new();
    let (status, log) = Node::start(f.dir.path(), &Setup::default())
        .err()
        .expect("it is refused");
    assert_eq!(status.code(), Some(6), "{log}");
    assert!(log.contains("data-in-use"), "{log}");
    f.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_loses_nothing() {
    let mut f = Fixture::new();
    for _ in 0..20 {
        f.node.call("counter/a", "increment", "null").await.unwrap();
    }
    assert_eq!(f.node.terminate().code(), Some(0));
    let again = Node::up(f.dir.path());
    assert_eq!(
        again.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":20}"#
    );
}

/// The only segment of a small journal.
fn segment(data: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = std::fs::read_dir(data.join("journal"))
        .expect("a journal")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 4096))
        .collect();
    files.sort();
    files.pop().expect("a segment")
}

/// Where the bytes of the last record of a key lie in a file.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_in_the_middle_of_the_journal_keeps_the_node_from_starting() {
    let mut f = Fixture::new();
    for n in 0..20 {
        f.node
            .call(&format!("counter/flip{n}"), "increment", "null")
            .await
            .unwrap();
    }
    f.node.kill();
    let path = segment(f.dir.path());
    let mut bytes = std::fs::read(&path).expect("the segment");
    let at = find(&bytes, b"flip3").expect("an early record");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("the segment");
    let (status, log) = Node::start(f.dir.path(), &Setup::default())
        .err()
        .expect("it is refused");
    assert_eq!(status.code(), Some(6), "{log}");
    assert!(log.contains("journal-corrupt"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut_off_and_nothing_acknowledged_is_lost() {
    let mut f = Fixture::new();
    for _ in 0..10 {
        f.node.call("counter/a", "increment", "null").await.unwrap();
    }
    f.node.kill();
    // Part of a batch that was never acknowledged: a header's worth of bytes after the last one.
    let path = segment(f.dir.path());
    let mut bytes = std::fs::read(&path).expect("the segment");
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("it has content")
        + 1;
    let magic = end.next_multiple_of(512);
    let torn: Vec<u8> = bytes[512..512 + 16].to_vec();
    if magic + 512 < bytes.len() {
        bytes[magic..magic + 16].copy_from_slice(&torn);
        bytes.truncate(magic + 600);
    }
    drop(bytes);
    let again = Node::up(f.dir.path());
    assert_eq!(
        again.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":10}"#
    );
}
