//! JavaScript on the shared runtime: compiled once, loaded into every instance.

use crate::support::{TestHost, engine, function, ok, ok_with, turn};
use eddy_types::{EddyError, ErrorCode};
use eddy_wasm::{CancelReason, CancelToken, Fault, Instance, InstanceLimits, JsModule, Program};
use std::sync::Arc;
use tokio::sync::Barrier;

const SOURCE: &str = r#"
import { agent, fn, query } from "eddy";
export const counter = agent({
  increment(ctx, { by = 1 } = {}) {
    const n = (ctx.state.get("n") ?? 0) + by;
    ctx.state.set("n", n);
    return { n };
  },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
});
export const greet = fn((ctx, { name }) => `Hello, ${name}!`);
export const boom = fn(() => { throw new TypeError("on purpose"); });
export const spin = fn(() => { for (;;) {} });
export const both = fn((ctx) => Promise.all([ctx.call("t", "a", "m", 1), ctx.call("t", "b", "m", 2)]));
"#;

async fn compile(source: &str) -> Result<Program, EddyError> {
    compile_as("src/counter.ts", source).await
}

async fn compile_as(name: &str, source: &str) -> Result<Program, EddyError> {
    let module = JsModule {
        name: name.to_owned(),
        source: source.to_owned(),
    };
    engine().compile_js(&[module], &CancelToken::new()).await
}

async fn instance(program: &Program) -> Instance {
    let code = engine().js_code().expect("the runtime compiles");
    let limits = InstanceLimits::default();
    code.instantiate(&limits, Some(program), &CancelToken::new())
        .await
        .expect("it loads")
}

#[tokio::test]
async fn a_program_describes_itself_and_runs() {
    let program = compile(SOURCE).await.expect("it compiles");
    let program = Program::from_bytes(program.bytes().clone());
    let code = engine().js_code().expect("the runtime compiles");
    let definition = code
        .describe(Some(&program), &CancelToken::new())
        .await
        .expect("it describes itself");
    assert!(
        definition
            .functions
            .iter()
            .any(|name| name.as_str() == "greet")
    );
    assert_eq!(definition.agents[0].name.as_str(), "counter");

    let (mut instance, host) = (instance(&program).await, TestHost::default());
    assert_eq!(
        ok(&mut instance, &function("greet"), r#"{"name":"Ada"}"#).await,
        "\"Hello, Ada!\""
    );
    for expected in [r#"{"n":2}"#, r#"{"n":4}"#] {
        let target = crate::support::counter("increment");
        assert_eq!(
            ok_with(&mut instance, &target, r#"{"by":2}"#, &host).await,
            expected
        );
    }
}

#[tokio::test]
async fn a_throw_names_the_users_file() {
    let program = compile(SOURCE).await.expect("it compiles");
    let (mut instance, host) = (instance(&program).await, TestHost::default());
    let error = turn(&mut instance, &function("boom"), "null", &host)
        .await
        .expect("no fault")
        .expect_err("a throw");
    assert_eq!(
        (error.code, error.detail.as_str()),
        (ErrorCode::GuestError, "on purpose")
    );
    let guest = error.guest.expect("the guest's part");
    assert_eq!(guest.name, "TypeError");
    let stack = guest.stack.expect("a stack");
    assert!(stack.contains("src/counter.ts:12"), "{stack}");
}

#[tokio::test]
async fn a_file_may_be_named_like_the_runtimes_own() {
    let program = compile_as("eddy-shop/main.ts", SOURCE).await;
    let mut instance = instance(&program.expect("it compiles")).await;
    let host = TestHost::default();
    let thrown = turn(&mut instance, &function("boom"), "null", &host)
        .await
        .expect("no fault")
        .expect_err("it throws");
    let stack = thrown.guest.and_then(|guest| guest.stack);
    let stack = stack.expect("a stack");
    assert!(stack.contains("eddy-shop/main.ts:12"), "{stack}");
}

#[tokio::test]
async fn awaited_together_is_run_together() {
    let program = compile(SOURCE).await.expect("it compiles");
    let (mut instance, host) = (instance(&program).await, TestHost::default());
    *host.0.barrier.lock().expect("no panic") = Some(Arc::new(Barrier::new(2)));
    let got = ok_with(&mut instance, &function("both"), "null", &host).await;
    assert_eq!(got, r#"["t/a.m(1)","t/b.m(2)"]"#);
}

#[tokio::test]
async fn an_endless_loop_is_stopped() {
    let program = compile(SOURCE).await.expect("it compiles");
    let mut instance = instance(&program).await;
    let token = CancelToken::new();
    let spin = function("spin");
    let spinning = instance.handle(&spin, "null".into(), Box::new(TestHost::default()), &token);
    let stop = async {
        tokio::task::yield_now().await;
        token.cancel(CancelReason::Timeout);
    };
    let (stopped, ()) = tokio::join!(spinning, stop);
    assert!(matches!(stopped, Err(Fault::Timeout { .. })), "{stopped:?}");
}

#[tokio::test]
async fn a_mistake_in_the_source_is_told_with_its_place() {
    let error = compile("export const a = ;").await.expect_err("a mistake");
    assert_eq!(error.code, ErrorCode::InvalidSource);
    assert!(
        error.detail.contains("src/counter.ts:1"),
        "{}",
        error.detail
    );
}

#[tokio::test]
async fn a_program_that_throws_while_it_loads_is_invalid() {
    let program = compile("throw new Error('not today');")
        .await
        .expect("it compiles");
    let code = engine().js_code().expect("the runtime compiles");
    let error = code
        .describe(Some(&program), &CancelToken::new())
        .await
        .expect_err("it throws");
    assert_eq!(error.code, ErrorCode::InvalidSource);
    assert!(error.detail.contains("not today"), "{}", error.detail);
}
