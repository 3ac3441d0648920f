//! An app that does not load at start keeps what is its own, and what waits for it.

use crate::support::{
    app, call, ended, files, function, invoke, name, start, start_with_secret, stop, tenant,
};
use bytes::Bytes;
use eddy_core::MessageId;
use eddy_node::{CallOptions, Deployment, Node, PageRequest};
use eddy_types::{EddyError, ErrorCode};
use serde_json::json;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

const SHOP: &str = r#"
import { agent, fn } from "eddy";
export const bell = agent({
  arm(ctx) { ctx.after(1500, "ring"); },
  ring(ctx) { ctx.state.set("rang", (ctx.state.get("rang") ?? 0) + 1); },
  rang(ctx) { return ctx.state.get("rang") ?? 0; },
});
export const greet = fn(async (ctx) => {
  const greeting = ctx.env("GREETING");
  if (greeting === "slow") await new Promise((done) => setTimeout(done, 60000));
  return greeting;
});
"#;
const POST: &str = r#"
import { fn } from "eddy";
export const post = fn((ctx) => { ctx.send("bell", "a", "ring"); });
"#;
const SPARE: &str = r#"import { fn } from "eddy"; export const spare = fn(() => 1);"#;
const RIVAL: &str = r#"import { agent } from "eddy"; export const bell = agent({ m() {} });"#;

fn shop() -> Deployment {
    app(
        "shop",
        SHOP,
        json!({ "GREETING": { "secret": "GREETING" } }),
    )
}

/// Deploys everything, and leaves a timer and an invocation behind.
async fn leave_work(data: &Path) -> MessageId {
    let node = start_with_secret(data, "slow").await;
    let spare = app("spare", SPARE, json!({ "X": { "secret": "GREETING" } }));
    for deployment in [shop(), app("post", POST, json!({})), spare] {
        node.deploy(&tenant(), deployment).await.expect("deployed");
    }
    call(&node, "bell", "arm").await.expect("armed");
    let null = Bytes::from_static(b"null");
    let accepted = node.invoke_async(function("greet"), null, CallOptions::default());
    let accepted = accepted.await.expect("accepted");
    stop(node).await;
    accepted
}

fn assert_unavailable<T: Debug>(result: Result<T, EddyError>) {
    let error = result.expect_err("it has no code");
    assert_eq!(error.code, ErrorCode::AppUnavailable, "{error}");
    assert!(error.detail.contains("secret-missing"), "{error}");
    assert!(error.retry_after.is_some() && error.hint.is_some());
}

async fn assert_names_are_kept(node: &Node, data: &Path) {
    let deployed: Vec<_> = node
        .apps(&tenant())
        .iter()
        .map(|app| (app.name.to_string(), app.version))
        .collect();
    let expected = ["post", "shop", "spare"].map(|app| (app.to_owned(), 1));
    assert_eq!(deployed, expected);
    let rival = app("rival", RIVAL, json!({}));
    let refused = node.deploy(&tenant(), rival).await.expect_err("taken");
    assert_eq!(refused.code, ErrorCode::NameTaken);
    let spare = name("spare");
    node.delete_app(&tenant(), &spare).await.expect("deleted");
    assert!(node.app(&tenant(), &spare).is_err());
    let apps = files(&data.join("apps/default"));
    assert_eq!(apps, ["post.json", "shop.json"]);
}

#[tokio::test]
async fn an_app_without_its_secret_keeps_its_names_and_its_work() {
    let data = tempfile::tempdir().expect("a folder");
    let accepted = leave_work(data.path()).await;

    let node = start(data.path()).await;
    assert_unavailable(invoke(&node, "greet").await);
    assert_unavailable(call(&node, "bell", "rang").await);
    assert_unavailable(
        node.app_trouble(&tenant(), &name("shop"))
            .map_or(Ok(()), Err),
    );
    assert_eq!(node.app_trouble(&tenant(), &name("post")), None);
    let page = PageRequest::default();
    let bells = node.agents(&tenant(), &name("bell"), "", &page).await;
    assert_eq!(bells.expect("state needs no code").items.len(), 1);
    assert_names_are_kept(&node, data.path()).await;
    invoke(&node, "post").await.expect("the send is accepted");
    // The timer is due, and a few attempts could have been made at everything.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let waiting = node.invocation(&tenant(), accepted).expect("a record");
    assert!(waiting.outcome.is_none(), "{waiting:?}");
    let letters = node.dead_letters(&tenant(), &page).await.expect("a page");
    assert!(letters.items.is_empty(), "{letters:?}");
    stop(node).await;

    let node = start_with_secret(data.path(), "hi").await;
    let done = ended(&node, accepted).await;
    assert_eq!(done.outcome.expect("ended").expect("a result"), "\"hi\"");
    let rang = async {
        while call(&node, "bell", "rang").await.expect("a number") != "2" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let rang = tokio::time::timeout(Duration::from_secs(20), rang).await;
    rang.expect("the timer and the send arrive");
    stop(node).await;
}

#[tokio::test]
async fn an_app_without_its_secret_can_be_replaced() {
    let data = tempfile::tempdir().expect("a folder");
    let node = start_with_secret(data.path(), "hi").await;
    node.deploy(&tenant(), shop()).await.expect("deployed");
    stop(node).await;

    let node = start(data.path()).await;
    assert_unavailable(invoke(&node, "greet").await);
    let refused = node.deploy(&tenant(), shop()).await;
    assert_eq!(
        refused.expect_err("no secret").code,
        ErrorCode::SecretMissing
    );
    let plain = app("shop", SHOP, json!({ "GREETING": "plain" }));
    let replaced = node.deploy(&tenant(), plain).await.expect("deployed");
    assert_eq!(replaced.version, 2);
    assert_eq!(invoke(&node, "greet").await.expect("it runs"), "\"plain\"");
    stop(node).await;
}
