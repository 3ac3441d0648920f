//! Spares are taken, once each, and never by another version, app or tenant.

use super::{MOST, MOST_OF_ALL};
use crate::facade::Module;
use crate::{CallOptions, Code, Deployment, Node, NodeConfig};
use bytes::Bytes;
use eddy_types::{FunctionId, Manifest, Name, TenantId};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const GUEST: &[u8] = include_bytes!("../../../eddy-wasm/assets/bench-guest.wasm");
const COUNTER: &str = "import { fn } from 'eddy'; let n = 0; export const count = fn(() => ++n);";

async fn node(dir: &std::path::Path, max_instances: u32) -> Arc<Node> {
    let config = NodeConfig {
        max_instances,
        ..NodeConfig::new(dir)
    };
    Node::start(config).await.expect("a node")
}

async fn deploy(node: &Node, tenant: &str, code: Code, greeting: &str) {
    let manifest: Manifest =
        serde_json::from_value(serde_json::json!({"name": "app", "env": {"GREETING": greeting}}))
            .expect("a manifest");
    let deployment = Deployment {
        manifest,
        components: vec![(Name::new("main").expect("a name"), code)],
    };
    let tenant = TenantId::new(tenant).expect("a tenant");
    node.deploy(&tenant, deployment).await.expect("it deploys");
}

async fn invoke(node: &Node, tenant: &str, function: &str, argument: &'static str) -> String {
    let function = FunctionId {
        tenant: TenantId::new(tenant).expect("a tenant"),
        name: Name::new(function).expect("a name"),
    };
    let argument = Bytes::from_static(argument.as_bytes());
    let answer = node.invoke(function, argument, CallOptions::default());
    let reply = answer.await.expect("it is accepted");
    String::from_utf8(reply.outcome.expect("it succeeds").to_vec()).expect("JSON")
}

/// How many spares the app of a tenant has, and how many it gave.
fn counts(node: &Node, tenant: &str) -> (usize, u64) {
    let tenant = TenantId::new(tenant).expect("a tenant");
    let apps = node.inner().catalog.apps(&tenant);
    apps.first().expect("an app").spares.counts()
}

/// Waits until the background has made a spare.
async fn stocked(node: &Node, tenant: &str) {
    let made = async {
        while counts(node, tenant).0 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let made = tokio::time::timeout(Duration::from_secs(30), made).await;
    made.expect("a cold start makes spares");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_spare_serves_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), 256).await;
    let module = Module {
        name: "main.js".to_owned(),
        source: COUNTER.to_owned(),
        source_map: None,
    };
    deploy(&node, "default", Code::Js(vec![module]), "hi").await;
    for _ in 0..20 {
        assert_eq!(invoke(&node, "default", "count", "null").await, "1");
        stocked(&node, "default").await;
    }
    let (ready, taken) = counts(&node, "default");
    assert!(taken >= 10, "spares serve: {taken} of 20");
    assert!(ready <= MOST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_and_a_version_have_their_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), 256).await;
    let wasm = || Code::Wasm(Bytes::from_static(GUEST));
    let says = |greeting: &str| format!(r#""wasi":"{greeting}""#);
    deploy(&node, "one", wasm(), "one").await;
    deploy(&node, "two", wasm(), "two").await;
    for _ in 0..4 {
        for tenant in ["one", "two"] {
            let got = invoke(&node, tenant, "env", "\"GREETING\"").await;
            assert!(got.contains(&says(tenant)), "{tenant}: {got}");
            stocked(&node, tenant).await;
        }
    }
    let tenant = TenantId::new("one").expect("a tenant");
    let old = node.inner().catalog.apps(&tenant).remove(0);
    deploy(&node, "one", wasm(), "new").await;
    assert_eq!(old.spares.counts().0, 0, "a replaced app keeps none");
    for _ in 0..4 {
        let got = invoke(&node, "one", "env", "\"GREETING\"").await;
        assert!(got.contains(&says("new")), "{got}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_bounded_and_give_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), 16).await;
    deploy(
        &node,
        "default",
        Code::Wasm(Bytes::from_static(GUEST)),
        "hi",
    )
    .await;
    for _ in 0..50 {
        invoke(&node, "default", "hello", "null").await;
        assert!(counts(&node, "default").0 <= 2, "an eighth of 16 instances");
    }
    stocked(&node, "default").await;
    assert!(node.inner().spares.load(Relaxed) <= MOST_OF_ALL);
    assert!(node.inner().drop_spares(), "they make room");
    assert_eq!(counts(&node, "default").0, 0);
}

#[tokio::test]
async fn a_node_for_few_instances_makes_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), 4).await;
    deploy(
        &node,
        "default",
        Code::Wasm(Bytes::from_static(GUEST)),
        "hi",
    )
    .await;
    for _ in 0..10 {
        invoke(&node, "default", "hello", "null").await;
        tokio::task::yield_now().await;
    }
    assert_eq!(counts(&node, "default"), (0, 0));
}
