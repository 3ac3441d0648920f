//! Instances come and go within their limits.

use crate::{CallOptions, Code, Deployment, Node, NodeConfig};
use bytes::Bytes;
use eddy_types::{AgentId, ErrorCode, FunctionId, Key, Manifest, MethodName, Name, TenantId};
use std::sync::Arc;
use std::time::Duration;

const GUEST: &[u8] = include_bytes!("../../../eddy-wasm/assets/bench-guest.wasm");

async fn deploy(node: &Node) {
    deploy_to(node, &TenantId::default_tenant()).await;
}

async fn deploy_to(node: &Node, tenant: &TenantId) {
    let manifest: Manifest = serde_json::from_value(serde_json::json!({"name": "bench"})).unwrap();
    let wasm = Code::Wasm(Bytes::from_static(GUEST));
    let deployment = Deployment {
        manifest,
        components: vec![(Name::new("main").unwrap(), wasm)],
    };
    node.deploy(tenant, deployment).await.unwrap();
}

async fn increment(node: &Node, agent: usize) {
    let (name, key) = (
        Name::new("counter").unwrap(),
        Key::new(&format!("a{agent}")),
    );
    let agent = AgentId::new(TenantId::default_tenant(), name, key.unwrap());
    let method = MethodName::new("increment").unwrap();
    let null = Bytes::from_static(b"null");
    let answer = node.call(agent, method, null, CallOptions::default()).await;
    answer.unwrap().outcome.unwrap();
}

async fn node(dir: &std::path::Path, guest_memory: usize) -> Arc<Node> {
    let config = NodeConfig {
        max_instances: 256,
        guest_memory,
        ..NodeConfig::new(dir)
    };
    let node = Node::start(config).await.unwrap();
    deploy(&node).await;
    node
}

/// Functions that wait hold their instances: those of one tenant leave some to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_leaves_instances_to_others() {
    const MOST: u32 = 32;
    let dir = tempfile::tempdir().unwrap();
    let config = NodeConfig {
        max_instances: MOST,
        ..NodeConfig::new(dir.path())
    };
    let node = Node::start(config).await.unwrap();
    deploy(&node).await;
    let greedy = TenantId::new("greedy").unwrap();
    deploy_to(&node, &greedy).await;
    let sleep = || {
        let function = FunctionId {
            tenant: greedy.clone(),
            name: Name::new("sleep_ms").unwrap(),
        };
        let within = CallOptions {
            timeout: Some(Duration::from_secs(20)),
            ..CallOptions::default()
        };
        node.invoke(function, Bytes::from_static(b"2000"), within)
    };
    let sleeps = futures::future::join_all((0..2 * MOST).map(|_| sleep()));
    let others = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for agent in 0..8 {
            increment(&node, agent).await;
        }
    };
    let (slept, ()) = futures::join!(sleeps, others);
    let slept = slept.into_iter().map(|answer| answer.unwrap().outcome);
    let refused = slept.filter(|outcome| {
        let error = outcome.as_ref().err();
        error.is_some_and(|error| error.code == ErrorCode::Overloaded)
    });
    assert!(
        refused.count() >= MOST as usize,
        "it had as many as it wanted"
    );
    node.shutdown(Duration::ZERO).await.unwrap();
}

/// Longer than until the node first looks for idle agents.
const FIRST_LOOK: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_activations_stays_within_the_memory_limit() {
    const LIMIT: u64 = 1 << 20;
    const BURST: usize = 64;
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), usize::try_from(LIMIT).unwrap()).await;
    increment(&node, 0).await;
    let all = node.stats().active_memory * BURST as u64;
    assert!(
        all > 2 * LIMIT,
        "the burst needs more than the limit: {all}"
    );
    tokio::time::sleep(FIRST_LOOK).await;
    for agent in 0..BURST {
        increment(&node, agent).await;
        let memory = node.stats().active_memory;
        assert!(memory <= LIMIT, "{memory} bytes after {agent} agents");
    }
    assert!(node.stats().active_agents > 0, "some stay");
    tokio::time::sleep(FIRST_LOOK).await;
    assert!(node.stats().passivations > 0, "what went is counted");
    node.shutdown(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_look_drops_all_that_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 0).await;
    for agent in 0..40 {
        increment(&node, agent).await;
    }
    let most = node.stats().active_agents;
    let active = async |fewer_than: u64| {
        while node.stats().active_agents >= fewer_than {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    active(most.max(1)).await;
    let rest = tokio::time::timeout(Duration::from_millis(700), active(1)).await;
    assert!(rest.is_ok(), "they go at once, not a few with each look");
    node.shutdown(Duration::ZERO).await.unwrap();
}
