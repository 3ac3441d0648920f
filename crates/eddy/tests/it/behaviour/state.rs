//! An agent's state: values, listings, queries, what an error takes back.

use super::app::App;
use eddy_types::ErrorCode;
use serde_json::{Value, json};

const NOTEBOOK: &str = "notebook/a";

async fn put(app: &App, key: &str, value: Value) {
    app.called(NOTEBOOK, "put", json!({ "key": key, "value": value }))
        .await;
}

async fn read(app: &App, key: &str) -> Value {
    app.called(NOTEBOOK, "read", json!(key)).await
}

pub(crate) async fn values_and_listings(app: &App) {
    assert_eq!(read(app, "nothing").await, Value::Null);
    for value in [
        json!(null),
        json!(false),
        json!(1.25),
        json!("ü"),
        json!([{ "a": [] }]),
    ] {
        put(app, "kläng/键", value.clone()).await;
        assert_eq!(read(app, "kläng/键").await, json!({ "json": value }));
    }
    let bytes = json!({ "key": "bytes", "bytes": [0, 1, 254, 255] });
    app.called(NOTEBOOK, "put_bytes", bytes).await;
    assert_eq!(
        read(app, "bytes").await,
        json!({ "bytes": [0, 1, 254, 255] })
    );
    // Another kind replaces it, and other agents have their own.
    put(app, "bytes", json!("text")).await;
    assert_eq!(read(app, "bytes").await, json!({ "json": "text" }));
    let other = app.called("notebook/b", "read", json!("bytes")).await;
    assert_eq!(other, Value::Null);
    let own = json!({ "key": "own", "value": [1] });
    let seen = app.called(NOTEBOOK, "put_and_read", own).await;
    assert_eq!(seen, json!({ "json": [1] }));
    for there in [true, false] {
        assert_eq!(app.called(NOTEBOOK, "remove", json!("bytes")).await, there);
    }
    assert_eq!(read(app, "bytes").await, Value::Null);

    let large = json!({ "key": "large", "bytes": 800_000 });
    app.called(NOTEBOOK, "put_large", large).await;
    let kept = read(app, "large").await;
    assert_eq!(kept["json"].as_str().unwrap().len(), 800_000);
    let too_large = json!({ "key": "large", "bytes": 1_000_000 });
    let error = app.fails(NOTEBOOK, "put_large", too_large).await;
    assert_eq!(error.code, ErrorCode::RecordTooLarge);
    listings(app).await;
}

async fn listings(app: &App) {
    const LISTS: &str = "notebook/lists";
    for (prefix, count) in [("n:", 1200), ("m:", 2)] {
        let argument = json!({ "prefix": prefix, "count": count });
        app.called(LISTS, "put_many", argument).await;
    }
    let bytes = json!({ "key": "m:bytes", "bytes": [7] });
    app.called(LISTS, "put_bytes", bytes).await;
    let list = async |argument: Value| app.called(LISTS, "list", argument).await;
    let m =
        json!([["m:000", { "json": 0 }], ["m:001", { "json": 1 }], ["m:bytes", { "bytes": [7] }]]);
    assert_eq!(list(json!({ "prefix": "m:" })).await, m);
    let all = list(Value::Null).await;
    let all = all.as_array().unwrap();
    assert_eq!((all.len(), &all[..3]), (1000, &m.as_array().unwrap()[..]));
    let page = list(json!({ "prefix": "n:", "after": "n:007", "limit": 2 })).await;
    assert_eq!(
        page,
        json!([["n:008", { "json": 8 }], ["n:009", { "json": 9 }]])
    );
    let rest = list(json!({ "prefix": "n:", "after": "n:998" })).await;
    // By bytes: 1000 and its like come before 101.
    assert_eq!(rest, json!([["n:999", { "json": 999 }]]));
    assert_eq!(list(json!({ "limit": 0 })).await, json!([]));
    assert_eq!(list(json!({ "prefix": "none" })).await, json!([]));
}

pub(crate) async fn queries_only_read(app: &App) {
    put(app, "k", json!(1)).await;
    let entry = json!({ "key": "k", "value": 2 });
    for (query, argument) in [
        ("put_in_query", entry.clone()),
        ("remove_in_query", json!("k")),
        ("send_in_query", json!("sent")),
        ("timer_in_query", Value::Null),
    ] {
        let error = app.fails(NOTEBOOK, query, argument).await;
        assert_eq!(error.code, ErrorCode::WriteInQuery, "{query}");
    }
    let caught = app.called(NOTEBOOK, "caught_in_query", entry).await;
    assert_eq!(caught, "write-in-query");
    assert_eq!(read(app, "k").await, json!({ "json": 1 }));

    let tick = |method: &str| json!({ "type": "worker", "key": "sent", "method": method });
    let ticks = app
        .called(NOTEBOOK, "request_in_query", tick("ticks"))
        .await;
    assert_eq!(ticks, 0);
    let error = app.fails(NOTEBOOK, "request_in_query", tick("tick")).await;
    assert_eq!(error.code, ErrorCode::WriteInQuery);
    assert_eq!(app.called("worker/sent", "ticks", Value::Null).await, 0);
}

pub(crate) async fn an_error_discards_the_turn(app: &App) {
    put(app, "k", json!("before")).await;
    let entry = json!({ "key": "k", "value": "after" });
    let error = app.fails(NOTEBOOK, "put_then_fail", entry).await;
    assert_eq!(error.guest.unwrap().name, "changed-mind");
    assert_eq!(read(app, "k").await, json!({ "json": "before" }));
    // An error of somebody else that is caught takes nothing back.
    let failing = json!({ "function": "fail", "argument": { "code": "c", "message": "m" } });
    let entry = json!({ "key": "k", "value": "after", "request": failing });
    let caught = app.called(NOTEBOOK, "put_and_catch", entry).await;
    assert_eq!(caught, "guest-error");
    assert_eq!(read(app, "k").await, json!({ "json": "after" }));

    // Globals go with the instance whose writes were discarded.
    let word = |word: &str| json!({ "word": word });
    app.called("cache/a", "remember", word("kept")).await;
    assert_eq!(
        app.called("cache/a", "remembered", Value::Null).await,
        "kept"
    );
    app.fails("cache/a", "remember_then_fail", word("lost"))
        .await;
    assert_eq!(
        app.called("cache/a", "remembered", Value::Null).await,
        Value::Null
    );
}
