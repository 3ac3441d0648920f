//! What outlives a turn: keys, sends, timers, background invocations.

use crate::node::{Node, Setup, bench_guest, eventually};
use eddy_api::CallOptions;
use eddy_types::ErrorCode;
use std::time::Duration;

fn up(dir: &std::path::Path) -> Node {
    let guest = bench_guest();
    Node::with(
        dir,
        &Setup {
            app: Some(&guest),
            ..Setup::default()
        },
    )
}

fn keyed(key: &str) -> CallOptions {
    CallOptions {
        idempotency_key: Some(key.to_owned()),
        ..CallOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_answered_once_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path());
    let first = node
        .call_with("counter/a", "increment", "null", &keyed("k"))
        .await
        .unwrap();
    let again = node
        .call_with("counter/a", "increment", "null", &keyed("k"))
        .await
        .unwrap();
    assert_eq!(first, again);
    let other = node
        .call_with("counter/a", "increment", r#"{"by":2}"#, &keyed("k"))
        .await;
    assert_eq!(other.unwrap_err().code, ErrorCode::IdempotencyMismatch);
    node.kill();
    let node = Node::up(dir.path());
    let late = node
        .call_with("counter/a", "increment", "null", &keyed("k"))
        .await
        .unwrap();
    assert_eq!(first, late);
    assert_eq!(
        node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":1}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_duplicate_does_not_bring_a_deleted_agent_back() {
    let dir = tempfile::tempdir().unwrap();
    let node = up(dir.path());
    node.call_with("counter/a", "increment", "null", &keyed("k"))
        .await
        .unwrap();
    node.client
        .delete_agent("counter", "a", &CallOptions::default())
        .await
        .unwrap();
    node.call_with("counter/a", "increment", "null", &keyed("k"))
        .await
        .unwrap();
    assert_eq!(
        node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":0}"#
    );
    let gone = node.client.agent("counter", "a").await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::UnknownAgent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_arrives_once() {
    let dir = tempfile::tempdir().unwrap();
    let node = up(dir.path());
    node.call("counter/a", "transfer", r#"{"to":"b","amount":7}"#)
        .await
        .unwrap();
    eventually(&node, "counter/b", "balance", "7").await;
    assert_eq!(
        node.call("counter/a", "balance", "null").await.unwrap(),
        "-7"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_once_also_when_the_node_was_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path());
    let arm = r#"{"ms":1500,"name":"t","method":"increment","arg":{"by":3}}"#;
    node.call("counter/a", "arm", arm).await.unwrap();
    let off = r#"{"ms":1500,"name":"off","method":"increment","arg":{"by":100}}"#;
    node.call("counter/a", "arm", off).await.unwrap();
    assert_eq!(
        node.call("counter/a", "disarm", "\"off\"").await.unwrap(),
        "true"
    );
    node.kill();
    let node = Node::up(dir.path());
    eventually(&node, "counter/a", "value", r#"{"n":3}"#).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":3}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_invocation_runs_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path());
    let options = CallOptions::default();
    let sleep = node
        .client
        .invoke_async("sleep_ms", "2000".into(), &options)
        .await
        .unwrap();
    node.kill();
    let node = Node::up(dir.path());
    for _ in 0..600 {
        let info = serde_json::to_value(node.client.invocation(&sleep.id).await.unwrap()).unwrap();
        if info["status"] == "succeeded" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the invocation never ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_result_of_an_accepted_invocation_can_be_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let node = up(dir.path());
    let large = format!("\"{}\"", "x".repeat(100_000));
    let options = CallOptions::default();
    let accepted = node
        .client
        .invoke_async("echo", large.clone().into(), &options)
        .await
        .unwrap();
    for _ in 0..600 {
        let info = node.client.invocation(&accepted.id).await.unwrap();
        let info = serde_json::to_value(info).unwrap();
        if info["status"] == "succeeded" {
            assert_eq!(info["result"].to_string(), large);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the invocation never ended");
}
