//! The end of a node.

use crate::support::start;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_be_stopped_twice() {
    let data = tempfile::tempdir().unwrap();
    let node = start(data.path()).await;
    for _ in 0..2 {
        node.shutdown(Duration::ZERO).await.expect("it stops");
    }
}
