//! What one tenant can tell of another by what the node does for it.

use crate::support::{files, name, start, stop};
use bytes::Bytes;
use eddy_node::{Code, Deployment, Node, PythonModule, Runtime};
use eddy_types::{Digest, EddyError, ErrorCode, TenantId};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const GUEST: &[u8] = include_bytes!("../../../eddy-wasm/assets/bench-guest.wasm");

async fn deploy(node: &Node, tenant: &TenantId, code: Code) -> Result<(), EddyError> {
    let deployment = Deployment {
        manifest: serde_json::from_value(json!({ "name": "app" })).expect("a manifest"),
        components: vec![(name("main"), code)],
    };
    node.deploy(tenant, deployment).await.map(drop)
}

fn as_component() -> Code {
    Code::Wasm(Bytes::from_static(GUEST))
}

fn as_runtime() -> Code {
    let module = PythonModule {
        name: "app".into(),
        path: "app.py".into(),
        source: "pass".into(),
    };
    let bytes = Bytes::from_static(GUEST);
    let runtime = Runtime {
        digest: Digest::of(&bytes),
        bytes: Some(bytes),
    };
    Code::Python {
        modules: vec![module],
        runtime,
    }
}

/// Each compilation puts a new file in the place of the one before.
fn compiled(data: &Path) -> u64 {
    let cache = data.join("cache");
    let digest = Digest::of(GUEST).to_string();
    let mut files = files(&cache).into_iter();
    let file = files.find(|file| file.starts_with(&digest)).expect("one");
    fs::metadata(cache.join(file)).expect("readable").ino()
}

#[tokio::test]
async fn what_a_tenant_sends_is_compiled_whatever_others_have() {
    let data = tempfile::tempdir().expect("a folder");
    let node = start(data.path()).await;
    let [a, b] = ["a", "b"].map(|tenant| TenantId::new(tenant).expect("a tenant"));
    deploy(&node, &a, as_component()).await.expect("deployed");
    let first = compiled(data.path());
    deploy(&node, &a, as_component()).await.expect("deployed");
    assert_eq!(compiled(data.path()), first, "its own is known");

    let error = deploy(&node, &b, as_runtime())
        .await
        .expect_err("no runtime");
    assert_eq!(error.code, ErrorCode::InvalidComponent, "{error}");
    let second = compiled(data.path());
    assert_ne!(second, first, "as a runtime");
    deploy(&node, &b, as_component()).await.expect("deployed");
    let third = compiled(data.path());
    assert_ne!(third, second, "as a component");

    let error = deploy(&node, &b, as_runtime())
        .await
        .expect_err("no runtime");
    assert_eq!(error.code, ErrorCode::InvalidComponent, "{error}");
    assert_eq!(
        compiled(data.path()),
        third,
        "its own is known, also as a runtime"
    );
    stop(node).await;
}
