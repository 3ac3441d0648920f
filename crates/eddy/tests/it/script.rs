//! What goes wrong with a script, or between scripts: each has its own documented error, and others
//! keep being served.

use crate::node::Node;
use eddy_types::{EddyError, ErrorCode};

const MISCHIEF: &str = r#"
import { agent, query } from "eddy";

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
let kept: any;

export const thing = agent({
  add(ctx) {
    const n = (ctx.state.get("n") ?? 0) + 1;
    ctx.state.set("n", n);
    return n;
  },
  value: query((ctx) => ctx.state.get("n") ?? 0),
  // Holds itself for a while, then wants somebody else.
  async reach(ctx, { key, ms }) {
    await pause(ms);
    ctx.state.set("reached", key);
    return await ctx.call("thing", key, "add", null);
  },
  forget(ctx) {
    ctx.call("thing", "other", "add", null);
    ctx.state.set("n", 7);
    return "done";
  },
  async slow(ctx) {
    await ctx.call("thing", "signal", "add", null);
    await pause(1500);
    ctx.state.set("n", 1000);
  },
  keep(ctx) {
    kept = ctx;
  },
  useKept() {
    kept.state.set("n", 99);
  },
  hog(ctx) {
    ctx.state.set("n", 5);
    const all = [];
    for (;;) all.push(new Uint8Array(1 << 20).fill(1));
  },
  spin(ctx) {
    ctx.state.set("n", 5);
    for (;;) {}
  },
  deep(ctx) {
    const down = (n: number): number => 1 + down(n + 1);
    return down(0);
  },
  circular(ctx) {
    const it: any = {};
    it.it = it;
    return it;
  },
  flood() {
    return "x".repeat(30_000_000);
  },
  never() {
    return new Promise(() => {});
  },
  writes: query((ctx) => ctx.state.set("n", 1)),
});
"#;

struct Fixture {
    node: Node,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (node, dir) = Node::scripted("mischief.ts", MISCHIEF);
        Self { node, _dir: dir }
    }

    async fn call(&self, agent: &str, method: &str) -> Result<String, EddyError> {
        self.node.call(agent, method, "null").await
    }

    async fn code(&self, method: &str) -> ErrorCode {
        self.call("thing/a", method)
            .await
            .expect_err("it has to fail")
            .code
    }

    async fn still_serves(&self) {
        assert!(self.call("thing/bystander", "add").await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_chains_that_wait_for_each_other_one_is_told_and_the_other_goes_on() {
    let f = Fixture::new();
    // Both hold themselves long enough that both have begun; a slow machine gets more tries.
    for ms in [300, 1000, 3000, 9000] {
        let reach = |key: &str| format!(r#"{{"key":"{key}","ms":{ms}}}"#);
        let (to_b, to_a) = (reach("b"), reach("a"));
        let (left, right) = tokio::join!(
            f.node.call("thing/a", "reach", &to_b),
            f.node.call("thing/b", "reach", &to_a)
        );
        let (failed, fine) = match (left, right) {
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => (error, true),
            (Err(error), Err(_)) => (error, false),
            (Ok(_), Ok(_)) => continue,
        };
        assert!(fine, "only one of the two has to give way");
        assert_eq!(failed.code, ErrorCode::Deadlock, "{failed}");
        f.still_serves().await;
        return;
    }
    panic!("the two never met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_not_awaited_is_withdrawn_when_the_turn_ends() {
    let f = Fixture::new();
    let busy = f.call("thing/other", "slow");
    let forgetful = async {
        while f.call("thing/signal", "value").await.unwrap() != "1" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        // Waits behind the slow turn, and its caller ends long before it could begin.
        f.call("thing/a", "forget").await
    };
    let (busy, forgotten) = tokio::join!(busy, forgetful);
    assert!(busy.is_ok(), "{busy:?}");
    assert_eq!(forgotten.unwrap(), "\"done\"");
    assert_eq!(f.call("thing/a", "value").await.unwrap(), "7");
    assert_eq!(f.call("thing/other", "add").await.unwrap(), "1001");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_was_kept_is_closed() {
    let f = Fixture::new();
    f.call("thing/a", "keep").await.unwrap();
    assert_eq!(f.code("useKept").await, ErrorCode::ContextClosed);
    assert_eq!(f.call("thing/a", "value").await.unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_goes_too_far_is_stopped_and_leaves_nothing_behind() {
    let f = Fixture::new();
    for (method, wanted) in [
        ("hog", ErrorCode::MemoryLimit),
        ("deep", ErrorCode::GuestError),
        ("circular", ErrorCode::InvalidResult),
        ("flood", ErrorCode::PayloadTooLarge),
        ("never", ErrorCode::HandlerStalled),
        ("writes", ErrorCode::WriteInQuery),
    ] {
        assert_eq!(f.code(method).await, wanted, "{method}");
        assert_eq!(f.call("thing/a", "value").await.unwrap(), "0", "{method}");
        f.still_serves().await;
    }
    let options = eddy_api::CallOptions {
        timeout: Some(std::time::Duration::from_secs(1)),
        ..Default::default()
    };
    let spun = f
        .node
        .call_with("thing/a", "spin", "null", &options)
        .await
        .unwrap_err();
    assert_eq!(spun.code, ErrorCode::DeadlineExceeded);
    assert_eq!(f.call("thing/a", "value").await.unwrap(), "0");
}
