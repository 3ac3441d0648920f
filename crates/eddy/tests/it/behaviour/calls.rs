//! Calls and invocations: results, errors, addresses, and what cannot be called.

use super::app::App;
use eddy_types::ErrorCode;
use serde_json::{Value, json};

fn worker(key: &str, method: &str) -> Value {
    json!({ "type": "worker", "key": key, "method": method })
}

pub(crate) async fn calls_between_agents_and_functions(app: &App) {
    let greet = json!({ "function": "greet", "argument": { "name": "Bo" } });
    for (n, key) in [(1, "a/b ü"), (2, "a/b ü"), (1, "b")] {
        assert_eq!(app.invoked("request", worker(key, "tick")).await, n);
    }
    assert_eq!(
        app.called("worker/b", "request", worker("a/b ü", "tick"))
            .await,
        3
    );
    assert_eq!(
        app.called("worker/b", "request", greet.clone()).await,
        "Hello, Bo!"
    );
    let nested = json!({ "function": "request", "argument": greet });
    assert_eq!(app.invoked("request", nested).await, "Hello, Bo!");
    let address = app.called("worker/a/b ü", "address", Value::Null).await;
    assert_eq!(address, json!({ "type": "worker", "key": "a/b ü" }));
    let chain = app.called("worker/one", "chain", json!({ "keys": ["two", "three"] }));
    assert_eq!(chain.await, 1);
    assert_eq!(app.called("worker/three", "ticks", Value::Null).await, 1);
}

pub(crate) async fn errors_of_others_are_caught_by_code(app: &App) {
    let failing =
        json!({ "code": "out-of-stock", "message": "m", "status": 409, "details": { "left": 0 } });
    let failing = json!({ "function": "fail", "argument": failing });
    let caught = app.invoked("caught", failing.clone()).await;
    let wanted = json!({
        "code": "guest-error", "status": 409, "name": "out-of-stock", "details": { "left": 0 }
    });
    assert_eq!(caught, wanted);
    let worked = app.invoked("caught", worker("w", "tick")).await;
    assert_eq!(worked, json!({ "value": 1 }));
    // Passed on it stays what it is, through several.
    let passed = json!({ "function": "request", "argument": failing });
    assert_eq!(
        app.invoked("caught", passed.clone()).await["name"],
        "out-of-stock"
    );
    let error = app.call("worker/w", "request", passed).await.unwrap_err();
    assert_eq!(
        (error.code, error.http_status()),
        (ErrorCode::GuestError, 409)
    );
    assert_eq!(error.guest.unwrap().name, "out-of-stock");
}

pub(crate) async fn what_cannot_be_called(app: &App) {
    for (request, code) in [
        (worker("w", "fly"), "unknown-method"),
        (
            json!({ "type": "bird", "key": "b", "method": "fly" }),
            "unknown-agent-type",
        ),
        (json!({ "function": "fly" }), "unknown-function"),
        (worker("w", "call_itself"), "call-cycle"),
        (
            json!({ "type": "worker", "key": "", "method": "tick" }),
            "invalid-name",
        ),
    ] {
        let caught = app.invoked("caught", request.clone()).await;
        assert_eq!(caught["code"], code, "{request}: {caught}");
        assert_eq!(
            (&caught["name"], &caught["status"]),
            (&Value::Null, &Value::Null)
        );
    }
    let error = app.fails("worker/w", "fly", Value::Null).await;
    assert_eq!(error.code, ErrorCode::UnknownMethod);
    // A circle of three is one, too.
    let circle = json!({ "keys": ["y", "z", "x"] });
    let error = app.fails("worker/x", "chain", circle).await;
    assert_eq!(error.code, ErrorCode::CallCycle);
}
