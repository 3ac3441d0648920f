//! Attacks that are JavaScript's own: what its engine could be made to do, in one program.

use super::{Siege, code, deploys::javascript};
use bytes::Bytes;
use eddy_types::ErrorCode;
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_is_a_guest_like_any_other() {
    use ErrorCode::{
        DeadlineExceeded, GuestError, GuestTrap, HandlerStalled, InvalidResult, LimitExceeded,
        MemoryLimit, PayloadTooLarge,
    };
    let siege = Siege::begin().await;
    let app = javascript(include_str!("attacks.js"));
    siege.attacker.deploy(&app).await.expect("it deploys");
    let slow: [(&str, &[ErrorCode]); 9] = [
        ("regex", &[DeadlineExceeded, GuestError]),
        ("microtask", &[DeadlineExceeded, MemoryLimit]),
        ("intervals", &[DeadlineExceeded, LimitExceeded, MemoryLimit]),
        ("tower", &[DeadlineExceeded, MemoryLimit, GuestError]),
        ("buffers", &[DeadlineExceeded, MemoryLimit]),
        ("catches", &[DeadlineExceeded]),
        ("to_json", &[DeadlineExceeded]),
        (
            "proxy",
            &[
                DeadlineExceeded,
                MemoryLimit,
                InvalidResult,
                PayloadTooLarge,
            ],
        ),
        ("logs", &[DeadlineExceeded]),
    ];
    let attacks = join_all(slow.map(|(name, _)| siege.invoke(name, Value::Null)));
    for ((name, expected), ended) in slow.iter().zip(siege.during(10, attacks).await) {
        let ended = code(ended);
        assert!(expected.contains(&ended), "{name}: {ended:?}");
    }
    let quick: [(&str, &[ErrorCode]); 8] = [
        ("never", &[HandlerStalled]),
        ("recursion", &[GuestError, GuestTrap]),
        ("circular", &[InvalidResult, GuestError]),
        ("big_int", &[InvalidResult, GuestError]),
        ("thenable", &[GuestError]),
        ("throws_nothing", &[GuestError]),
        ("throws_trap", &[GuestError]),
        ("forged", &[GuestError]),
    ];
    for (name, expected) in quick {
        let ended = code(siege.invoke(name, Value::Null).await);
        assert!(expected.contains(&ended), "{name}: {ended:?}");
    }
    // What one invocation does to the language does not reach the next one.
    let _ = siege.invoke("polluted", Value::Null).await;
    for name in ["globals", "imports"] {
        let reached = siege.invoke(name, Value::Null).await;
        assert_eq!(reached.expect("it looks"), json!([]), "{name}");
    }
    siege.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_sees_nothing_of_another_one() {
    let siege = Siege::begin().await;
    let app = javascript(include_str!("attacks.js"));
    siege.attacker.deploy(&app).await.expect("it deploys");
    let call = async |key: &str, method: &str| {
        let null = Bytes::from_static(b"null");
        let client = &siege.attacker;
        let answer = client
            .call("keeps", key, method, null, &super::within(20))
            .await?;
        Ok::<Value, eddy_types::EddyError>(serde_json::from_slice(&answer.result).expect("JSON"))
    };
    call("a", "leave").await.expect("it leaves something");
    let seen = call("b", "seen").await.expect("it looks");
    assert_eq!(seen, json!([null, null]));
    // A context is good for its turn.
    call("c", "late").await.expect("it returns");
    let stale = code(call("c", "stale").await);
    assert_eq!(stale, ErrorCode::ContextClosed);
    siege.ends().await;
}
