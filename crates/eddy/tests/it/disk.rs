//! What goes wrong with the disk and the data folder: the node stops, or does not start, with the
//! reason; and nothing acknowledged is lost.

use crate::node::{Node, Setup, bench_guest};
use crate::small_disk::{NO_MOUNT, SmallDisk};
use eddy_types::ErrorCode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn up(data: &Path) -> Node {
    with(data, &[], Vec::new())
}

fn with(data: &Path, env: &[(&str, &str)], runner: Vec<String>) -> Node {
    let guest = bench_guest();
    let setup = Setup {
        app: Some(&guest),
        env: env.to_vec(),
        runner,
        ..Setup::default()
    };
    Node::with(data, &setup)
}

fn refused(data: &Path, code: &str) {
    let started = Node::start(data, &Setup::default());
    let (status, log) = started.err().expect("it is refused");
    assert_eq!(status.code(), Some(6), "{log}");
    assert!(log.contains(code), "{log}");
}

async fn increment(node: &Node, agent: &str, times: usize) {
    for _ in 0..times {
        node.call(agent, "increment", "null").await.unwrap();
    }
}

async fn value(node: &Node, agent: &str) -> u64 {
    let answer = node.call(agent, "value", "null").await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["n"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = up(dir.path());
    refused(dir.path(), "data-in-use");
    increment(&first, "counter/a", 1).await;
}

/// Eight agents are incremented until the node goes; what each client was told stands in the map.
async fn until_it_fails(node: &Node) -> BTreeMap<String, u64> {
    let mut told = BTreeMap::new();
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let client = node.client.clone();
            tokio::spawn(async move {
                let agent = format!("counter/a{n}");
                let mut acknowledged = 0;
                for _ in 0..100_000 {
                    let options = eddy_api::CallOptions::default();
                    match crate::node::call(&client, &agent, "increment", "null", &options).await {
                        Ok(_) => acknowledged += 1,
                        Err(error) => return (agent, acknowledged, error.code),
                    }
                }
                panic!("the fault never came");
            })
        })
        .collect();
    for worker in workers {
        let (agent, acknowledged, code) = worker.await.unwrap();
        // Who was under way is told why; who comes later finds nobody.
        assert!(
            matches!(
                code,
                ErrorCode::JournalFailed | ErrorCode::ShuttingDown | ErrorCode::NodeUnreachable
            ),
            "{code}"
        );
        told.insert(agent, acknowledged);
    }
    told
}

/// The node of `fault` stops with `reason`; the next one has all that was acknowledged.
async fn stops_and_loses_nothing(fault: &str, reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    let node = with(dir.path(), &[("EDDY_FAULT_FS", fault)], Vec::new());
    let told = until_it_fails(&node).await;
    let (status, log) = node.ended();
    assert_eq!(status.code(), Some(6), "{log}");
    assert!(log.contains(r#""code":"journal-failed""#), "{log}");
    assert!(log.contains(reason), "{log}");
    let again = up(dir.path());
    assert!(told.values().sum::<u64>() > 0, "the fault came too early");
    for (agent, acknowledged) in told {
        let n = value(&again, &agent).await;
        assert!(
            n == acknowledged || n == acknowledged + 1,
            "{agent}: {n}, not {acknowledged}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_flush_the_node_stops_and_says_so() {
    stops_and_loses_nothing("fail-flush=100", "injected I/O error").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_write_that_found_the_disk_full_the_node_stops_and_says_so() {
    stops_and_loses_nothing("full=100", "The disk is full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_the_node_stops_and_with_more_room_it_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), 20) else {
        let told = std::env::var_os(NO_MOUNT).is_some();
        assert!(
            told,
            "no tmpfs can be mounted here: run as root, allow user namespaces, or set {NO_MOUNT}=1"
        );
        return;
    };
    let node = with(dir.path(), &[], disk.runner());
    let put = r#"{"key":"k","bytes":500000}"#;
    let mut stored = 0;
    while node
        .call(&format!("counter/f{stored}"), "put", put)
        .await
        .is_ok()
    {
        stored += 1;
        assert!(stored < 100, "the disk never filled up");
    }
    let (status, log) = node.ended();
    assert_eq!(status.code(), Some(6), "{log}");
    // Whichever file needed room first, the journal's or the store's.
    let told = ["journal-failed", "store-failed"].map(|code| log.contains(code));
    assert!(
        told.contains(&true) && log.contains("No space left"),
        "{log}"
    );
    // Started again without more room it stops for the same reason, or lives from what the start
    // cleaned up; it breaks nothing.
    let same = Setup {
        runner: disk.runner(),
        ..Setup::default()
    };
    if let Err((status, log)) = Node::start(dir.path(), &same) {
        assert_eq!(status.code(), Some(6), "{log}");
    }
    disk.resize(dir.path(), 200);
    let again = with(dir.path(), &[], disk.runner());
    assert!(stored > 0);
    for n in 0..stored {
        let sum = again.call(&format!("counter/f{n}"), "sum", "null").await;
        assert_eq!(sum.unwrap(), "500000", "counter/f{n}");
    }
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

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_in_the_middle_of_the_journal_keeps_the_node_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path());
    for n in 0..20 {
        increment(&node, &format!("counter/flip{n}"), 1).await;
    }
    node.kill();
    let path = segment(dir.path());
    let mut bytes = std::fs::read(&path).expect("the segment");
    let at = find(&bytes, b"flip3").expect("an early record");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("the segment");
    refused(dir.path(), "journal-corrupt");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut_off_and_nothing_acknowledged_is_lost() {
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut node = up(before.path());
    increment(&node, "counter/a", 10).await;
    node.kill();
    // One more turn, of many sectors, on a copy...
    copy(before.path(), after.path());
    let mut node = up(after.path());
    let put = r#"{"key":"k","bytes":20000}"#;
    node.call("counter/b", "put", put).await.unwrap();
    node.kill();
    // ...of whose record a power cut left only the first half.
    let path = segment(after.path());
    let mut bytes = std::fs::read(&path).expect("the segment");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("content");
    let cut = (last - 10_000) / 512 * 512;
    bytes[cut..].fill(0);
    std::fs::write(&path, bytes).expect("the segment");
    let journal = before.path().join("journal");
    std::fs::remove_dir_all(&journal).expect("the old journal");
    copy(&after.path().join("journal"), &journal);

    let again = up(before.path());
    assert_eq!(value(&again, "counter/a").await, 10);
    let sum = again.call("counter/b", "sum", "null").await.unwrap();
    assert_eq!(sum, "0", "what nobody was told of is gone as a whole");
    increment(&again, "counter/a", 1).await;
}
