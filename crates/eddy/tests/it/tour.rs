//! The README's tour and the shop, with the real binary.

use crate::node::{Node, Setup, insist};
use eddy_api::CallOptions;
use eddy_types::ErrorCode;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const COUNTER: &str = r#"
import { agent, fn, query } from "eddy";
export const counter = agent({
  increment(ctx, { by = 1 }: { by?: number } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
  boom() {
    throw new Error("on purpose");
  },
});
export const greet = fn((ctx, { name }: { name: string }) => `Hello, ${name}!`);
"#;

fn eddy(url: &str, args: &[&str]) -> (i32, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(args)
        .env("EDDY_URL", url)
        .output();
    let out = out.expect("the binary runs");
    let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    (
        out.status.code().unwrap_or(-1),
        text + &String::from_utf8_lossy(&out.stderr),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typescript_file_becomes_a_function_and_a_durable_agent() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::up(dir.path());
    let file = dir.path().join("counter.ts");
    std::fs::write(&file, COUNTER).unwrap();
    let (exit, text) = eddy(&node.url, &["deploy", file.to_str().unwrap()]);
    assert_eq!(exit, 0, "{text}");
    assert_eq!(
        node.invoke("greet", r#"{"name":"Ada"}"#).await.unwrap(),
        r#""Hello, Ada!""#
    );
    // 1,000 increments from 32 clients.
    let clients: Vec<_> = (0..32)
        .map(|client| {
            let http = node.client.clone();
            tokio::spawn(async move {
                let count = if client < 8 { 32 } else { 31 };
                for n in 0..count {
                    let key = format!("{client}-{n}");
                    insist(&http, "counter/a", "increment", "{}", &key)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(
        node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":1000}"#
    );
    let thrown = node.call("counter/a", "boom", "null").await.unwrap_err();
    let stack = thrown
        .guest
        .and_then(|guest| guest.stack)
        .unwrap_or_default();
    assert!(stack.contains("counter.ts:11"), "{stack}");
    node.kill();
    let node = Node::up(dir.path());
    assert_eq!(
        node.call("counter/a", "value", "null").await.unwrap(),
        r#"{"n":1000}"#
    );
    let (exit, text) = eddy(&node.url, &["call", "counter/a", "value"]);
    assert_eq!((exit, text.trim()), (0, r#"{"n":1000}"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_takes_stock_from_one_agent_and_adds_to_another() {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
    let dir = tempfile::tempdir().unwrap();
    let node = Node::with(
        dir.path(),
        &Setup {
            app: Some(&shop),
            ..Setup::default()
        },
    );
    node.call("stock/apple", "restock", r#"{"qty":10}"#)
        .await
        .unwrap();
    let options = CallOptions {
        timeout: Some(Duration::from_secs(30)),
        ..CallOptions::default()
    };
    let order = r#"{"cart":"bob","sku":"apple","qty":3}"#;
    node.client
        .invoke("order", order.into(), &options)
        .await
        .unwrap();
    let level: serde_json::Value =
        serde_json::from_str(&node.call("stock/apple", "level", "null").await.unwrap()).unwrap();
    assert_eq!(
        (&level["free"], &level["held"]),
        (&7.into(), &3.into()),
        "{level}"
    );
    let unknown = node.call("stock/apple", "steal", "null").await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::UnknownMethod);
}
