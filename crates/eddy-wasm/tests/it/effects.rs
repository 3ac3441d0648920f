//! Immediate effects: really at once, bounded, gone with their turn.

use crate::support::{TestHost, counter, function, instance, ok, ok_with, turn};
use eddy_types::{ErrorCode, limits};
use std::sync::Arc;
use tokio::sync::Barrier;

#[tokio::test]
async fn calls_started_together_run_together() {
    let (mut instance, host) = (instance().await, TestHost::default());
    // Neither call ends before both have begun to wait.
    *host.0.barrier.lock().expect("no panic") = Some(Arc::new(Barrier::new(2)));
    let calls =
        r#"[{"type":"t","key":"a","method":"m","arg":1},{"type":"t","key":"b","method":"m"}]"#;
    let got = ok_with(&mut instance, &function("calls"), calls, &host).await;
    assert_eq!(got, r#"["t/a.m(1)","t/b.m(null)"]"#);
    assert_eq!(host.count_under_way(), 0);
}

#[tokio::test]
async fn sleeps_and_fetches_come_back() {
    let mut instance = instance().await;
    assert_eq!(ok(&mut instance, &function("sleep_ms"), "1").await, "null");
    let fetch = r#"{"url":"http://x/","method":"PUT","body":"b"}"#;
    let got = ok(&mut instance, &function("fetch"), fetch).await;
    assert_eq!(got, r#"{"body":"PUT http://x/ Some(b\"b\")","status":200}"#);
}

#[tokio::test]
async fn an_effect_that_fails_tells_the_guest_the_code() {
    let mut instance = instance().await;
    let got = ok(
        &mut instance,
        &function("calls"),
        r#"[{"function":"nope"}]"#,
    )
    .await;
    assert_eq!(
        got,
        r#"[{"error":{"code":"unknown-function","message":"no function nope"}}]"#
    );
}

#[tokio::test]
async fn an_effect_that_is_refused_passes_its_code_on() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let call = r#"{"type":"cycle","key":"a","method":"m"}"#;
    let error = turn(&mut instance, &counter("forward"), call, &host)
        .await
        .expect("no fault")
        .expect_err("refused");
    assert_eq!(error.code, ErrorCode::CallCycle);
}

#[tokio::test]
async fn an_effect_not_awaited_ends_with_its_turn() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let call = r#"{"type":"t","key":"a","method":"never"}"#;
    ok_with(&mut instance, &counter("keep_pending"), call, &host).await;
    assert_eq!(host.count_under_way(), 0);
    assert_eq!(
        ok(&mut instance, &function("hello"), "null").await,
        "\"hello\""
    );
}

#[tokio::test]
async fn the_number_under_way_is_bounded() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let most = limits::MAX_PENDING_PER_TURN;
    let got = ok(&mut instance, &function("start_many"), &most.to_string()).await;
    assert_eq!(got, most.to_string());
    let error = turn(
        &mut instance,
        &function("start_many"),
        &(most + 1).to_string(),
        &host,
    )
    .await
    .expect("no fault")
    .expect_err("too many");
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert_eq!(host.count_under_way(), 0);
}

#[tokio::test]
async fn waiting_for_nothing_is_told() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let error = turn(&mut instance, &function("wait_for_nothing"), "null", &host)
        .await
        .expect("no fault")
        .expect_err("stalled");
    assert_eq!(error.code, ErrorCode::HandlerStalled);
}
