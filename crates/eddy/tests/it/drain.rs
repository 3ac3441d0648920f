//! SIGTERM: what runs may finish within the grace, what was accepted is not lost, and the node ends
//! by itself.

use crate::node::{Node, Setup, eventually};
use eddy_api::CallOptions;
use eddy_types::ErrorCode;
use std::path::Path;

const APP: &str = r#"
import { agent, fn, query } from "eddy";
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
export const job = agent({
  async work(ctx, { ms }) {
    // An agent of its own tells the test that this turn runs.
    if (ms > 0) await ctx.call("job", ctx.self.key + "-runs", "work", { ms: 0 });
    await pause(ms);
    ctx.state.set("done", true);
    return "worked";
  },
  begin(ctx) {
    ctx.send("job", ctx.self.key + "-later", "work", { ms: 0 });
  },
  done: query((ctx) => ctx.state.get("done") ?? false),
});
export const slowly = fn(async (ctx, { ms, key }) => {
  await pause(ms);
  return await ctx.call("job", key, "work", { ms: 0 });
});
"#;

fn up(dir: &Path, args: &[&str]) -> Node {
    let app = dir.join("app.ts");
    std::fs::write(&app, APP).unwrap();
    let setup = Setup {
        app: Some(&app),
        args: args.to_vec(),
        ..Setup::default()
    };
    Node::with(&dir.join("data"), &setup)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_a_turn_finish_and_its_answer_leave() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path(), &[]);
    let client = node.client.clone();
    let work = tokio::spawn(async move {
        let options = CallOptions::default();
        crate::node::call(&client, "job/a", "work", r#"{"ms":1500}"#, &options).await
    });
    eventually(&node, "job/a-runs", "done", "true").await;
    let ended = node.terminate();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(work.await.unwrap().unwrap(), "\"worked\"");
    let node = up(dir.path(), &[]);
    assert_eq!(node.call("job/a", "done", "null").await.unwrap(), "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlives_the_grace_is_told_and_what_was_accepted_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = up(dir.path(), &["--grace", "300ms"]);
    for n in 0..20 {
        let agent = format!("job/send{n}");
        node.call(&agent, "begin", "null").await.unwrap();
    }
    let client = node.client.clone();
    let options = CallOptions::default();
    let slowly = r#"{"ms":2000,"key":"from-function"}"#;
    let accepted = client
        .invoke_async("slowly", slowly.into(), &options)
        .await
        .unwrap();
    let turn = tokio::spawn(async move {
        let options = CallOptions::default();
        crate::node::call(&client, "job/a", "work", r#"{"ms":3600000}"#, &options).await
    });
    eventually(&node, "job/a-runs", "done", "true").await;
    node.terminate();
    let cut_off = turn.await.unwrap().unwrap_err();
    assert!(
        matches!(
            cut_off.code,
            ErrorCode::TurnAborted | ErrorCode::ShuttingDown
        ),
        "{cut_off}"
    );
    let node = up(dir.path(), &[]);
    assert_eq!(node.call("job/a", "done", "null").await.unwrap(), "false");
    eventually(&node, "job/from-function", "done", "true").await;
    for n in 0..20 {
        eventually(&node, &format!("job/send{n}-later"), "done", "true").await;
    }
    let info = node.client.invocation(&accepted.id).await.unwrap();
    let info = serde_json::to_value(info).unwrap();
    assert_eq!(info["result"], "worked", "{info}");
}
