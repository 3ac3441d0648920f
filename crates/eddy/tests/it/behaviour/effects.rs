//! Several things under way at once, and what becomes of those that nobody waits for.

use super::app::App;
use eddy_types::ErrorCode;
use serde_json::{Value, json};
use std::time::Duration;

/// Much longer than any test takes.
const HOUR: u64 = 3_600_000;

fn pause(ms: u64) -> Value {
    json!({ "function": "pause", "argument": { "ms": ms } })
}

fn worker(key: &str, method: &str, argument: Value) -> Value {
    json!({ "type": "worker", "key": key, "method": method, "argument": argument })
}

pub(crate) async fn several_at_once(app: &App) {
    // Each of the two waits for the other, so this ends only when both are under way.
    let meet = json!({ "function": "rendezvous", "argument": { "key": "m", "wanted": 2 } });
    let met = app.invoked("gather", json!([meet, meet])).await;
    assert_eq!(met, json!([2, 2]));
    let order = app
        .invoked("gather", json!([pause(40), pause(1), pause(20)]))
        .await;
    assert_eq!(order, json!([40, 1, 20]));
    assert_eq!(app.invoked("gather", json!([])).await, json!([]));
    let many: Vec<Value> = (0..100)
        .map(|n| worker(&format!("m{n}"), "tick", Value::Null))
        .collect();
    assert_eq!(
        app.invoked("gather", json!(many)).await,
        json!(vec![1; 100])
    );

    let fail = json!({ "function": "fail", "argument": { "code": "c", "message": "m" } });
    // The first error counts, and nobody waits for the rest.
    let error = app
        .invoke("gather", json!([pause(HOUR), fail]))
        .await
        .unwrap_err();
    assert_eq!(error.guest.unwrap().name, "c");
    let mixed = app.invoked("gather_caught", json!([fail, pause(1)])).await;
    assert_eq!(mixed[0]["name"], "c");
    assert_eq!(mixed[1], json!({ "value": 1 }));
}

pub(crate) async fn the_first_and_the_late(app: &App) {
    let first = app
        .invoked("first_of", json!([pause(HOUR), pause(5)]))
        .await;
    assert_eq!(first, 5);
    let late = json!({ "ms": 30, "request": pause(HOUR) });
    assert_eq!(
        app.invoked("within", late).await,
        json!({ "timed_out": true })
    );
    let in_time = json!({ "ms": HOUR, "request": pause(1) });
    assert_eq!(app.invoked("within", in_time).await, json!({ "value": 1 }));
    let fail = json!({ "function": "fail", "argument": { "code": "c", "message": "m" } });
    let failed = json!({ "ms": HOUR, "request": fail });
    let error = app.invoke("within", failed).await.unwrap_err();
    assert_eq!(error.guest.unwrap().name, "c");
}

pub(crate) async fn what_is_not_awaited_is_withdrawn(app: &App) {
    let forget = worker("busy", "tick", Value::Null);
    let work = json!({ "ms": 1500, "signal": "signal" });
    let busy = app.call("worker/busy", "work", work);
    let forgetful = async {
        while app.called("worker/signal", "ticks", Value::Null).await != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // They wait behind the busy turn, and who called them ends long before they could begin.
        let of_agent = app.called("worker/a", "forget", forget.clone()).await;
        let of_function = app.invoked("forget", forget.clone()).await;
        let late = json!({ "ms": 20, "request": forget });
        let late = app.invoked("within", late).await;
        (of_agent, of_function, late)
    };
    let (busy, forgotten) = tokio::join!(busy, forgetful);
    busy.unwrap();
    let timed_out = json!({ "timed_out": true });
    assert_eq!(forgotten, (json!("done"), json!("done"), timed_out));
    // What the forgetful agent wrote itself stays.
    assert_eq!(app.called("worker/a", "ticks", Value::Null).await, 1);
    assert_eq!(app.called("worker/busy", "tick", Value::Null).await, 2);
}

pub(crate) async fn what_is_kept_is_closed(app: &App) {
    app.called("worker/keeper", "keep", Value::Null).await;
    let error = app.fails("worker/keeper", "use_kept", Value::Null).await;
    assert_eq!(error.code, ErrorCode::ContextClosed);
    assert_eq!(app.called("worker/keeper", "ticks", Value::Null).await, 0);
}
