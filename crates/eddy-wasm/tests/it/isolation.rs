//! What a guest cannot reach, and where its output goes.

use crate::support::{TestHost, code, engine, function, instance, ok, ok_with};
use eddy_types::{Env, limits};
use eddy_wasm::{CancelToken, InstanceLimits, LogLevel};
use std::sync::Arc;

#[tokio::test]
async fn a_guest_sees_its_own_environment_only() {
    let mut plain = instance().await;
    let got = ok(&mut plain, &function("env"), "\"PATH\"").await;
    assert_eq!(got, r#"{"args":0,"context":null,"count":0,"wasi":null}"#);

    let env = Env::from([("GREETING".to_owned(), "hi".to_owned())]);
    let limits = InstanceLimits {
        env: Some(Arc::new(env)),
        ..InstanceLimits::default()
    };
    let token = CancelToken::new();
    let mut instance = code()
        .instantiate(&limits, None, &token)
        .await
        .expect("it starts");
    let host = TestHost::default();
    host.0
        .env
        .lock()
        .expect("no panic")
        .insert("GREETING".to_owned(), "hello".to_owned());
    let got = ok_with(&mut instance, &function("env"), "\"GREETING\"", &host).await;
    assert_eq!(got, r#"{"args":0,"context":"hello","count":1,"wasi":"hi"}"#);
}

#[tokio::test]
async fn there_are_no_files_and_no_network() {
    const GUEST: &[u8] = include_bytes!("../../assets/files-guest.wasm");
    let code = engine().compile(GUEST).expect("it compiles");
    let mut instance = code
        .instantiate(&InstanceLimits::default(), None, &CancelToken::new())
        .await
        .expect("it starts");
    let got = ok(&mut instance, &function("files"), "null").await;
    assert_eq!(
        got,
        r#"{"connect":"permission denied","listen":false,"read":false,"write":false}"#
    );
}

#[tokio::test]
async fn what_is_printed_goes_to_the_log_in_order() {
    let (mut instance, host) = (instance().await, TestHost::default());
    ok_with(&mut instance, &function("print"), "\"one\"", &host).await;
    let line = |level, text: &str| (level, text.to_owned());
    assert_eq!(
        host.log_lines(),
        [
            line(LogLevel::Info, "one"),
            line(LogLevel::Debug, "one"),
            line(LogLevel::Warn, "one"),
        ]
    );
}

#[tokio::test]
async fn what_is_printed_is_bounded() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let long = format!(
        "\"{}\"",
        "x".repeat(limits::MAX_LOG_BYTES_PER_INVOCATION + 100)
    );
    ok_with(&mut instance, &function("print"), &long, &host).await;
    let log = host.log_lines();
    assert!(
        log.last().expect("lines").1.contains("were dropped"),
        "{:?}",
        log.last()
    );
}

#[tokio::test]
async fn instances_share_no_memory() {
    let (mut one, mut two) = (instance().await, instance().await);
    let (first, second) = (TestHost::default(), TestHost::default());
    let increment = crate::support::counter("increment");
    assert_eq!(
        ok_with(&mut one, &increment, "null", &first).await,
        r#"{"n":1}"#
    );
    assert_eq!(
        ok_with(&mut two, &increment, "null", &second).await,
        r#"{"n":1}"#
    );
}
