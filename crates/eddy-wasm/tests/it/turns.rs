//! Turns that end by themselves: results, the guest's own errors, state, sends, timers.

use crate::support::{TestHost, counter, function, instance, ok, ok_with, turn};
use bytes::Bytes;
use eddy_types::ErrorCode;
use eddy_wasm::Value;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_function_answers_again_and_again() {
    let mut instance = instance().await;
    for _ in 0..3 {
        assert_eq!(
            ok(&mut instance, &function("hello"), "null").await,
            "\"hello\""
        );
    }
    assert_eq!(
        ok(&mut instance, &function("echo"), r#"{"a":[1]}"#).await,
        r#"{"a":[1]}"#
    );
    assert_eq!(ok(&mut instance, &function("now"), "null").await, "1234");
    assert_eq!(ok(&mut instance, &function("random"), "null").await, "4");
    assert!(instance.memory_bytes() >= 1 << 16);
}

#[tokio::test]
async fn state_is_read_and_written() {
    let (mut instance, host) = (instance().await, TestHost::default());
    for expected in [r#"{"n":2}"#, r#"{"n":4}"#] {
        let got = ok_with(&mut instance, &counter("increment"), r#"{"by":2}"#, &host).await;
        assert_eq!(got, expected);
    }
    ok_with(
        &mut instance,
        &counter("put"),
        r#"{"key":"blob","bytes":5}"#,
        &host,
    )
    .await;
    assert_eq!(
        ok_with(&mut instance, &counter("sum"), "null", &host).await,
        "9"
    );
    assert_eq!(
        ok_with(&mut instance, &counter("delete"), "\"blob\"", &host).await,
        "true"
    );
    let state = host.0.state.lock().expect("no panic");
    assert_eq!(state.get("n"), Some(&Value::Json(Bytes::from("4"))));
    assert_eq!(state.len(), 1);
}

#[tokio::test]
async fn sends_and_timers_reach_the_host() {
    let (mut instance, host) = (instance().await, TestHost::default());
    ok_with(
        &mut instance,
        &counter("transfer"),
        r#"{"to":"b","amount":3}"#,
        &host,
    )
    .await;
    let arm = r#"{"ms":50,"name":"t","method":"increment","arg":{"by":1}}"#;
    ok_with(&mut instance, &counter("arm"), arm, &host).await;
    ok_with(&mut instance, &counter("disarm"), "\"t\"", &host).await;
    let sent = host.0.sent.lock().expect("no panic").clone();
    assert_eq!(
        sent,
        [
            r#"counter/b deposit {"amount":3}"#,
            r#"timer t 50 increment {"by":1}"#,
            "no timer t"
        ]
    );
}

#[tokio::test]
async fn a_guests_error_keeps_all_it_says_and_the_instance() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let error = turn(&mut instance, &function("fail"), "null", &host)
        .await
        .expect("no fault")
        .expect_err("its own error");
    assert_eq!(
        (error.code, error.http_status()),
        (ErrorCode::GuestError, 409)
    );
    assert_eq!(error.detail, "no more of it");
    let guest = error.guest.expect("the guest's part");
    assert_eq!(guest.name, "out-of-stock");
    assert_eq!(guest.stack.as_deref(), Some("at fail (functions.rs)"));
    assert_eq!(guest.details.as_deref(), Some(r#"{"left":0}"#));
    assert_eq!(
        ok(&mut instance, &function("hello"), "null").await,
        "\"hello\""
    );
}

#[tokio::test]
async fn a_refusal_of_the_node_passes_through_the_guest_with_its_code_and_hint() {
    let (mut instance, host) = (instance().await, TestHost::default());
    host.0.read_only.store(true, Ordering::SeqCst);
    let error = turn(&mut instance, &counter("write_in_query"), "null", &host)
        .await
        .expect("no fault")
        .expect_err("a refusal");
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::WriteInQuery, Some("a hint"))
    );
    assert_eq!(error.detail, "no writes here");
}
