//! Turns that begin on the thread of who asks: many at once, one inside of the other, and given up.

use crate::support::{app, name, start, stop, tenant};
use bytes::Bytes;
use eddy_node::{CallOptions, InvocationStatus, Node, PageRequest, Reply};
use eddy_types::{AgentId, EddyError, ErrorCode, Key, MethodName};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const SOURCE: &str = r#"
import { agent } from "eddy";
export const worker = agent({
  add(ctx) {
    const n = (ctx.state.get("n") ?? 0) + 1;
    ctx.state.set("n", n);
    return n;
  },
  async down(ctx, n) {
    return n === 0 ? 0 : 1 + await ctx.call("worker", `w${n - 1}`, "down", n - 1);
  },
  async hold() {
    await new Promise((done) => setTimeout(done, 600_000));
  },
});
"#;

async fn node(data: &std::path::Path) -> Arc<Node> {
    let node = start(data).await;
    let tenant = tenant();
    let deployed = node.deploy(&tenant, app("threads", SOURCE, serde_json::json!({})));
    deployed.await.expect("it deploys");
    node
}

fn worker(key: &str) -> AgentId {
    AgentId::new(tenant(), name("worker"), Key::new(key).expect("a key"))
}

/// A call that nobody waits for yet; the id while it has not been answered.
fn send(
    node: &Node,
    key: &str,
    method: &str,
    argument: &str,
) -> (
    Option<eddy_core::MessageId>,
    oneshot::Receiver<Result<Reply, EddyError>>,
) {
    let (sender, receiver) = oneshot::channel();
    let method = MethodName::new(method).expect("a method");
    let argument = Bytes::copy_from_slice(argument.as_bytes());
    let then = move |answer| drop(sender.send(answer));
    let id = node.call_then(worker(key), method, argument, CallOptions::default(), then);
    (id, receiver)
}

async fn result(answer: oneshot::Receiver<Result<Reply, EddyError>>) -> Result<String, EddyError> {
    let reply = answer.await.expect("an answer")?;
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    reply.outcome.map(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gathered_on_a_thread_is_all_answered_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path()).await;
    for (round, here) in [(0, true), (1, false)] {
        let mut answers = Vec::new();
        node.gather(here, || {
            answers.extend((0..500).map(|_| send(&node, "one", "add", "null").1));
        });
        for (nth, answer) in answers.into_iter().enumerate() {
            let n = result(answer).await.expect("a number");
            assert_eq!(n, (round * 500 + nth + 1).to_string());
        }
    }
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_may_be_nested_deeper_than_a_stack() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path()).await;
    let (_, answer) = send(&node, "w25", "down", "25");
    assert_eq!(result(answer).await.as_deref(), Ok("25"));
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_can_be_given_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path()).await;
    let (_, held) = send(&node, "busy", "hold", "null");
    let running = async {
        loop {
            let page = node.invocations(&tenant(), &PageRequest::default()).await;
            let mut all = page.expect("a page").items.into_iter();
            if all.any(|info| info.status == InvocationStatus::Running) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    running.await;
    let (id, answer) = send(&node, "busy", "add", "null");
    node.cancel_call(&worker("busy"), id.expect("it waits"));
    let error = result(answer).await.expect_err("it was given up");
    assert_eq!(error.code, ErrorCode::TurnAborted);
    stop(node).await;
    let error = result(held).await.expect_err("it was aborted");
    assert_eq!(error.code, ErrorCode::TurnAborted);
}
