//! Functions: what is defined, arguments and results, surroundings, the log, errors.

use super::app::App;
use eddy_api::CallOptions;
use eddy_types::ErrorCode;
use serde_json::{Value, json};

/// The same names everywhere, queries marked.
pub(crate) async fn what_the_app_defines(app: &App) {
    let found = app.node.client.app("behaviour").await.unwrap();
    let functions: Vec<_> = found.functions.iter().map(|f| &f.name).collect();
    let mut lines = vec![format!("functions: {functions:?}")];
    for agent in &found.agents {
        let mut methods: Vec<_> = agent.methods.iter().collect();
        methods.sort_by_key(|method| &method.name);
        let methods = methods.iter().map(|method| match method.read_only {
            true => format!("{} (query)", method.name),
            false => method.name.clone(),
        });
        lines.push(format!(
            "{}: {}",
            agent.name,
            methods.collect::<Vec<_>>().join(", ")
        ));
    }
    lines.sort();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("behaviour_defines", lines.join("\n"));
    });
}

pub(crate) async fn arguments_and_results(app: &App) {
    let greeting = app.invoked("greet", json!({ "name": "Ada" })).await;
    assert_eq!(greeting, "Hello, Ada!");
    for value in [
        json!(null),
        json!(true),
        json!(0),
        json!(-1.5),
        json!(9_007_199_254_740_991i64),
        json!(""),
        json!("naïve 漢字 🦀 \u{0}\u{7f}\"\\"),
        json!([1, [2, []], {}]),
        json!({ "ключ": { "": null }, "a": [true, false] }),
    ] {
        assert_eq!(app.invoked("echo", value.clone()).await, value);
    }
    assert_eq!(
        app.invoked("nothing", json!({ "not": "read" })).await,
        Value::Null
    );
    for (argument, by) in [
        (json!(null), 1),
        (json!({}), 1),
        (json!({ "by": 3, "more": [] }), 3),
    ] {
        let result = app.invoked("with_default", argument).await;
        assert_eq!(result, json!({ "by": by }));
    }
    // An empty body is a missing argument.
    let none = CallOptions::default();
    for (function, result) in [("with_default", r#"{"by":1}"#), ("echo", "null")] {
        let answer = app.node.client.invoke(function, "".into(), &none).await;
        assert_eq!(answer.unwrap().result, result);
    }
    let large = app.invoked("large", json!({ "bytes": 800_000 })).await;
    assert_eq!(large.as_str().unwrap().len(), 800_000);
    let echoed = app.invoked("echo", json!(["y".repeat(800_000)])).await;
    assert_eq!(echoed[0].as_str().unwrap().len(), 800_000);
    let too_large = app.invoke("large", json!({ "bytes": 900_000 })).await;
    assert_eq!(too_large.unwrap_err().code, ErrorCode::PayloadTooLarge);
}

pub(crate) async fn surroundings_and_log(app: &App) {
    let (about, record) = app.recorded("about").await;
    assert_eq!(about["invocation"], record.id.as_str());
    assert_eq!(
        (&about["greeting"], &about["missing"]),
        (&json!("hello"), &Value::Null)
    );
    let now = about["now"].as_f64().unwrap();
    // In milliseconds: after 2020, before 2100.
    assert!((1.58e12..4.1e12).contains(&now), "{now}");
    let random: Vec<f64> = serde_json::from_value(about["random"].clone()).unwrap();
    assert!(random.iter().all(|n| (0.0..1.0).contains(n)), "{random:?}");
    assert_ne!(random[0], random[1]);
    assert_eq!(app.invoked("same_now", Value::Null).await, true);

    let (_, record) = app.recorded("log_lines").await;
    let lines = record.logs.iter();
    let lines: Vec<_> = lines.map(|line| (&*line.level, &*line.message)).collect();
    let wanted = [
        ("info", "plain"),
        ("trace", "at trace"),
        ("debug", "at debug"),
        ("info", "at info"),
        ("warn", "at warn"),
        ("error", "at error"),
    ];
    assert_eq!(lines, wanted);
}

pub(crate) async fn errors(app: &App) {
    let thrown = json!({ "code": "out-of-stock", "message": "nur noch 3 ✗", "status": 409, "details": { "left": [3] } });
    let error = app.invoke("fail", thrown).await.unwrap_err();
    assert_eq!(
        (error.code, error.http_status()),
        (ErrorCode::GuestError, 409)
    );
    assert_eq!(error.detail, "nur noch 3 ✗");
    let guest = error.guest.unwrap();
    assert_eq!((&*guest.name, guest.status), ("out-of-stock", Some(409)));
    let details: Value = serde_json::from_str(&guest.details.unwrap()).unwrap();
    assert_eq!(details, json!({ "left": [3] }));
    assert!(guest.stack.unwrap().contains("failing."));

    let bare = json!({ "code": "no-more", "message": "m" });
    let error = app.invoke("fail", bare).await.unwrap_err();
    assert_eq!(error.http_status(), 500);
    let guest = error.guest.unwrap();
    assert_eq!((guest.status, guest.details), (None, None));

    let plain = app
        .invoke("fail_plain", json!({ "message": "on purpose" }))
        .await;
    let error = plain.unwrap_err();
    assert_eq!(
        (error.code, &*error.detail),
        (ErrorCode::GuestError, "on purpose")
    );
    let (name, place) = app.language.plain_error();
    let guest = error.guest.unwrap();
    assert_eq!(guest.name, name);
    let stack = guest.stack.unwrap();
    assert!(stack.contains(place), "{stack}");

    // Codes of the node cannot be made up.
    let forged = json!({ "code": "deadlock", "message": "m" });
    let error = app.invoke("fail", forged).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::GuestError);
}
