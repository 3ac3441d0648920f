//! Sends and durable timers.

use super::app::App;
use serde_json::{Value, json};

pub(crate) async fn sends_arrive_in_order_or_never(app: &App) {
    let notes: Vec<String> = (0..50).map(|n| format!("note {n} ✓")).collect();
    let letters = json!({ "to": "b", "notes": notes });
    app.called("inbox/a", "pass_on", letters).await;
    app.until("inbox/b", "received", json!(notes)).await;
    // To itself, too.
    app.called("inbox/a", "pass_on", json!({ "to": "a", "notes": ["me"] }))
        .await;
    app.until("inbox/a", "received", json!(["me"])).await;

    let never = json!({ "to": "c", "notes": ["never"] });
    let error = app.fails("inbox/a", "pass_on_then_fail", never).await;
    assert_eq!(error.guest.unwrap().name, "changed-mind");
    app.called(
        "inbox/a",
        "pass_on",
        json!({ "to": "c", "notes": ["after it"] }),
    )
    .await;
    app.until("inbox/c", "received", json!(["after it"])).await;

    app.invoked("send_to", json!({ "key": "d", "notes": ["1", "2"] }))
        .await;
    // A function's sends are of independent sources, so they are looked at as a set.
    for _ in 0..600 {
        let received = app.called("inbox/d", "received", Value::Null).await;
        let mut received: Vec<String> = serde_json::from_value(received).unwrap();
        received.sort();
        if received == ["1", "2"] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the sends of a function did not arrive");
}

pub(crate) async fn timers_ring_are_replaced_and_cancelled(app: &App) {
    let arm = async |key: &str, argument: Value| {
        app.called(&format!("alarm/{key}"), "arm", argument).await;
    };
    const HOUR: u64 = 3_600_000;
    // Under the method's name unless there is another: the second replaces the first.
    arm("a", json!({ "ms": HOUR, "note": "first" })).await;
    arm("a", json!({ "ms": 1, "note": "second" })).await;
    app.until("alarm/a", "rung", json!(["second"])).await;
    // Names tell timers apart.
    arm("b", json!({ "ms": 1, "note": "x", "name": "x" })).await;
    app.until("alarm/b", "rung", json!(["x"])).await;
    arm("b", json!({ "ms": 1, "note": "y", "name": "y" })).await;
    app.until("alarm/b", "rung", json!(["x", "y"])).await;

    let twice = json!({ "ms": 1, "first": "1", "second": "2" });
    app.called("alarm/c", "arm_twice", twice).await;
    app.until("alarm/c", "rung", json!(["2"])).await;

    arm("d", json!({ "ms": HOUR, "note": "z", "name": "z" })).await;
    for was_set in [true, false] {
        assert_eq!(app.called("alarm/d", "disarm", json!("z")).await, was_set);
    }
    let failed = json!({ "ms": HOUR, "note": "never" });
    app.fails("alarm/d", "arm_then_fail", failed).await;
    assert_eq!(app.called("alarm/d", "disarm", json!("ring")).await, false);
    assert_eq!(app.called("alarm/d", "rung", Value::Null).await, json!([]));
}
