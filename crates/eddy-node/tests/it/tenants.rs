//! What one tenant can tell of another by what the node does for it.

use crate::support::{app, call, files, name, start, start_with_own_cache, stop, tenant};
use bytes::Bytes;
use eddy_core::MessageId;
use eddy_node::{
    CallOptions, Code, Deployment, InvocationTarget, Node, PageRequest, PythonModule, Runtime,
};
use eddy_types::{AgentId, Digest, EddyError, ErrorCode, Key, TenantId};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// An agent that gives itself work in both ways.
const BUSY: &str = r#"
import { agent } from "eddy";
export const busy = agent({
  begin(ctx) { ctx.send("busy", "b", "work"); ctx.after(1, "work"); },
  work() { return null; },
});
"#;

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
    let node = start_with_own_cache(data.path()).await;
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

/// The ids of the turns that one send and one timer have begun.
async fn ids_of_work(node: &Node) -> Vec<MessageId> {
    let page = PageRequest::default();
    for _ in 0..300 {
        let listed = node.invocations(&tenant(), &page).await.expect("a page");
        let work = listed.items.iter().filter(|info| match &info.target {
            InvocationTarget::Method(_, method) => method.as_str() == "work",
            InvocationTarget::Function(_) => false,
        });
        let ids: Vec<_> = work.map(|info| info.id).collect();
        if ids.len() == 2 {
            return ids;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the work is not done");
}

#[tokio::test]
async fn ids_do_not_say_how_much_was_written() {
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        // The same is written in the same order: all places in the journals are the same.
        let data = tempfile::tempdir().expect("a folder");
        let node = start(data.path()).await;
        let busy = app("busy", BUSY, json!({}));
        node.deploy(&tenant(), busy).await.expect("deployed");
        call(&node, "busy", "begin").await.expect("begun");
        seen.extend(ids_of_work(&node).await);
        stop(node).await;
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[tokio::test]
async fn a_tenants_documents_leave_a_place_for_anothers() {
    let data = tempfile::tempdir().expect("a folder");
    let node = start(data.path()).await;
    let broken = || EddyError::new(ErrorCode::InvalidArgument, "not a document");
    let import = |tenant: &str, document: Box<dyn FnOnce() + Send>| {
        let tenant = TenantId::new(tenant).expect("a tenant");
        let agent = AgentId::new(tenant, name("cart"), Key::new("x").expect("a key"));
        let read = move || {
            document();
            Err(broken())
        };
        node.import_agent(agent, read, CallOptions::default())
    };
    // Documents that take for as long as this lasts.
    let slow = (0..4).map(|_| {
        let (over, waits) = std::sync::mpsc::channel::<()>();
        let wait = move || {
            let _ = waits.recv();
        };
        let read = import("crowd", Box::new(wait));
        (over, read)
    });
    let (over, slow): (Vec<_>, Vec<_>) = slow.unzip();
    let single = async {
        let read = import("single", Box::new(|| {}));
        let read = tokio::time::timeout(Duration::from_mins(1), read).await;
        drop(over);
        read.expect("it does not wait for the others")
    };
    let (slow, single) = tokio::join!(futures::future::join_all(slow), single);
    assert_eq!(single, Err(broken()));
    assert_eq!(slow, vec![Err(broken()); 4]);
    stop(node).await;
}
