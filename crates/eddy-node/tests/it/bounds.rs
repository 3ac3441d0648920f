//! What guests make the node hold and remember is their tenant's, and bounded by what that may use.

use crate::support::{app, call, function, invoke, name, start, stop, tenant};
use bytes::Bytes;
use eddy_node::{CallOptions, Deployment, Node, Session};
use eddy_types::{AgentId, EddyError, ErrorCode, Key, TenantLimits, TenantSpec};
use serde_json::json;
use std::sync::Arc;

const SOURCE: &str = r#"
import { agent, fn, query } from "eddy";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const told = async (start) => {
  try { await start(); return "done"; } catch (error) { return error.code; }
};
export const hold = fn(() => sleep(600_000));
export const nothing = fn(() => null);
// Invocations that nobody waits for, with arguments as large as they may be.
export const hoard = fn(async (ctx) => {
  const argument = "x".repeat(850_000);
  let refused = null;
  for (let n = 0; n < 120 && refused === null; n++) {
    ctx.invoke("hold", argument).catch((error) => { refused ??= [n, error.code]; });
    await sleep(1);
  }
  return refused;
});
export const large = fn(async (ctx) => {
  const argument = "x".repeat(900_000);
  return [
    await told(() => ctx.call("relay", "b", "nothing", argument)),
    await told(() => ctx.invoke("nothing", argument)),
  ];
});
export const relay = agent({
  nothing() { return null; },
  look: query(() => null),
  begin(ctx) { ctx.send("relay", "b", "work"); },
  // Asks for what is remembered, because this turn may run again, until that is refused.
  async work(ctx) {
    globalThis.told = "never";
    for (let n = 0; n < 200; n++) {
      const call = await told(() => ctx.call("relay", "c", "nothing"));
      const invocation = await told(() => ctx.invoke("nothing"));
      if (call !== "done" && invocation !== "done") {
        globalThis.told = [call, invocation, await told(() => ctx.call("relay", "c", "look"))];
        return;
      }
      await sleep(50);
    }
  },
  told: query(() => globalThis.told ?? null),
});
"#;

fn hoarder() -> Deployment {
    let mut deployment = app("hoarder", SOURCE, json!({}));
    let functions = json!({"hold": {"concurrency": 1}});
    deployment.manifest.functions = serde_json::from_value(functions).expect("a manifest");
    deployment
}

async fn node(data: &std::path::Path) -> (Arc<Node>, Session) {
    let node = start(data).await;
    node.deploy(&tenant(), hoarder()).await.expect("deployed");
    let operator = node.session(None, None).expect("a node without tokens");
    (node, operator)
}

async fn limit(node: &Node, operator: &Session, limits: TenantLimits) {
    let own = tenant();
    let set = node.set_tenant(operator, &own, move |spec| TenantSpec { limits, ..spec });
    set.await.expect("it is set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_argument_that_is_too_large_is_the_callers_own_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, _) = node(dir.path()).await;
    let told = invoke(&node, "large").await.expect("it is told");
    assert_eq!(told, r#"["payload-too-large","payload-too-large"]"#);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_wait_count_as_their_tenants_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, operator) = node(dir.path()).await;
    let used = || {
        let tenant = node.tenant(&operator, &tenant()).expect("it is there");
        tenant.memory
    };
    limit(
        &node,
        &operator,
        TenantLimits {
            memory: Some(64 << 20),
            ..TenantLimits::default()
        },
    )
    .await;
    let refused = invoke(&node, "hoard").await.expect("it is told");
    let (begun, code): (usize, String) = serde_json::from_str(&refused).expect("it was refused");
    assert_eq!(code, "tenant-limit");
    assert!((1..80).contains(&begun), "{begun} arguments of 850 kB");
    // They wait on, though the one that began them is over.
    let held = used();
    assert!(held > 10 << 20, "{held} bytes");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_tenant_has_nothing_remembered() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, operator) = node(dir.path()).await;
    call(&node, "relay", "begin").await.expect("it begins");
    limit(
        &node,
        &operator,
        TenantLimits {
            storage: Some(1),
            ..TenantLimits::default()
        },
    )
    .await;
    let relay = |key: &str| AgentId::new(tenant(), name("relay"), Key::new(key).expect("a key"));
    let told = async {
        let method = eddy_types::MethodName::new("told").expect("a method");
        let null = Bytes::from_static(b"null");
        let options = CallOptions::default();
        let reply = node.call(relay("b"), method, null, options).await?;
        reply.outcome
    };
    let told = told.await.expect("the turn before it ends");
    assert_eq!(told, r#"["storage-limit","storage-limit","done"]"#);
    // A key would be remembered as well, also of what is not there.
    let delete = async |key: &str, idempotency_key: Option<&str>| -> Result<(), EddyError> {
        let options = CallOptions {
            idempotency_key: idempotency_key.map(str::to_owned),
            ..CallOptions::default()
        };
        node.delete_agent(relay(key), options).await
    };
    let refused = delete("nobody", Some("k")).await.expect_err("it is full");
    assert_eq!(refused.code, ErrorCode::StorageLimit);
    assert!(refused.hint.expect("what to do").contains("without"));
    delete("b", None).await.expect("deleting goes on");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyed_invocation_counts_until_it_ends_though_nobody_waits_for_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, operator) = node(dir.path()).await;
    let under_way = || {
        let tenant = node.tenant(&operator, &tenant()).expect("it is there");
        tenant.in_flight
    };
    for repeat in 1..=3 {
        let options = CallOptions {
            idempotency_key: Some("k".to_owned()),
            permit: Some(Arc::new(operator.admit().expect("it has no limit"))),
            ..CallOptions::default()
        };
        let null = Bytes::from_static(b"null");
        let mut asked = Box::pin(node.invoke(function("hold"), null, options));
        // The client goes away at once.
        assert!(futures::poll!(&mut asked).is_pending());
        drop(asked);
        assert_eq!(under_way(), repeat);
    }
    stop(node).await;
}
