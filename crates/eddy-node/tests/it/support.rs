//! Nodes and apps for tests.

use bytes::Bytes;
use eddy_core::MessageId;
use eddy_node::{CallOptions, Code, Deployment, InvocationInfo, Module, Node, NodeConfig};
use eddy_types::{AgentId, EddyError, FunctionId, Key, MethodName, Name, TenantId};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub fn tenant() -> TenantId {
    TenantId::default_tenant()
}

pub fn name(name: &str) -> Name {
    Name::new(name).expect("a name")
}

pub fn config(data: &Path) -> NodeConfig {
    NodeConfig {
        shards: 2,
        max_instances: 64,
        // Each node has a new data folder, and most need the same code.
        code_cache: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")),
        ..NodeConfig::new(data)
    }
}

pub async fn start(data: &Path) -> Arc<Node> {
    Node::start(config(data)).await.expect("the node starts")
}

/// A node that keeps its code in its data folder.
pub async fn start_with_own_cache(data: &Path) -> Arc<Node> {
    let config = NodeConfig {
        code_cache: None,
        ..config(data)
    };
    Node::start(config).await.expect("the node starts")
}

/// A node whose secret `GREETING` has this value.
pub async fn start_with_secret(data: &Path, value: &str) -> Arc<Node> {
    let mut config = config(data);
    config.secrets.insert("GREETING".into(), value.into());
    Node::start(config).await.expect("the node starts")
}

pub async fn stop(node: Arc<Node>) {
    node.shutdown(Duration::ZERO).await.expect("it stops");
}

/// An app of one JavaScript module; `env` is the manifest's.
pub fn app(app: &str, source: &str, env: serde_json::Value) -> Deployment {
    let manifest = json!({ "name": app, "env": env });
    let module = Module {
        name: "src/main.js".into(),
        source: source.into(),
        source_map: None,
    };
    Deployment {
        manifest: serde_json::from_value(manifest).expect("a manifest"),
        components: vec![(name("main"), Code::Js(vec![module]))],
    }
}

pub fn function(function: &str) -> FunctionId {
    FunctionId {
        tenant: tenant(),
        name: name(function),
    }
}

pub async fn invoke(node: &Node, target: &str) -> Result<String, EddyError> {
    let null = Bytes::from_static(b"null");
    let reply = node
        .invoke(function(target), null, CallOptions::default())
        .await?;
    reply
        .outcome
        .map(|result| String::from_utf8_lossy(&result).into_owned())
}

pub async fn call(node: &Node, agent_type: &str, method: &str) -> Result<String, EddyError> {
    let agent = AgentId::new(tenant(), name(agent_type), Key::new("a").expect("a key"));
    let method = MethodName::new(method).expect("a method");
    let null = Bytes::from_static(b"null");
    let reply = node
        .call(agent, method, null, CallOptions::default())
        .await?;
    reply
        .outcome
        .map(|result| String::from_utf8_lossy(&result).into_owned())
}

/// The record of an invocation once it has ended.
pub async fn ended(node: &Node, id: MessageId) -> InvocationInfo {
    for _ in 0..300 {
        let info = node.invocation(&tenant(), id).expect("a record");
        if info.outcome.is_some() {
            return info;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{id} does not end");
}

/// The names of the files in a folder.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
