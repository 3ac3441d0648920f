//! How a handler can end, and what its client and its record then say.

use super::{LAST_CHUNK, Wire, code_of, ended, get, printed, web, web_with};
use serde_json::json;

fn request(path: &str, more: &str) -> String {
    format!("GET /apps/web{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn before_the_answer_a_fault_is_a_problem() {
    let server = web_with(json!({"functions": {"web": {"memory": "16MiB"}}})).await;
    for (path, more, status, code) in [
        ("/trap?when=before", "", 500, "guest-trap"),
        ("/none", "", 500, "invalid-result"),
        ("/refuse", "", 500, "guest-error"),
        ("/grow", "", 500, "memory-limit"),
        ("/hoard", "", 500, "guest-trap"),
        ("/fatten", "", 500, "guest-trap"),
        (
            "/sleep?ms=60000",
            "eddy-timeout: 50ms\r\n",
            504,
            "deadline-exceeded",
        ),
        ("/spin", "eddy-timeout: 50ms\r\n", 504, "deadline-exceeded"),
    ] {
        let path = format!("/apps/web{path}");
        let answer = server.send("GET", &path, more, "").await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{path}");
        assert_eq!(code_of(&ended(&server).await), code, "{path}");
    }
    let wrong = server
        .send("GET", "/apps/web/about", "eddy-timeout: soon\r\n", "")
        .await;
    assert_eq!(wrong.code(), "invalid-argument");
    let refused = get(&server, "/apps/web/refuse").await.json();
    assert_eq!(refused["guest"]["name"], "internal-error");
}

#[tokio::test]
async fn after_the_answer_began_a_fault_cuts_it() {
    let server = web().await;
    let trap = Wire::open(&server, &request("/trap?when=after", "")).await;
    // What had begun may go with the connection.
    let came = trap.rest().await;
    assert!(
        came.is_empty() || came.starts_with("HTTP/1.1 200"),
        "{came}"
    );
    assert!(!came.ends_with(LAST_CHUNK), "it looks whole: {came}");
    assert_eq!(code_of(&ended(&server).await), "guest-trap");

    let late = request("/forever", "eddy-timeout: 200ms\r\n");
    let mut wire = Wire::open(&server, &late).await;
    let came = wire.until("more").await + &wire.rest().await;
    assert!(came.starts_with("HTTP/1.1 200"), "{came}");
    assert!(!came.ends_with(LAST_CHUNK), "it looks whole: {came}");
    assert_eq!(code_of(&ended(&server).await), "deadline-exceeded");
}

#[tokio::test]
async fn a_body_that_is_left_open_ends_with_its_handler() {
    let server = web().await;
    let answer = Wire::open(&server, &request("/leak", ""))
        .await
        .rest()
        .await;
    assert!(
        answer.contains("leaked") && answer.ends_with(LAST_CHUNK),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_handler() {
    let server = web().await;
    let mut wire = Wire::open(&server, &request("/forever", "")).await;
    wire.until("more").await;
    drop(wire);
    // That this one ends at all is the point. It may have seen by itself that nobody reads any more.
    let code = code_of(&ended(&server).await);
    assert!(matches!(code, "connection-lost" | "no error"), "{code}");

    // Before there is anything to read, too.
    let wire = Wire::open(&server, &request("/sleep?ms=600000", "")).await;
    while super::get(&server, "/v1/invocations?limit=1").await.json()["items"][0]["status"]
        != "running"
    {}
    drop(wire);
    assert_eq!(code_of(&ended(&server).await), "connection-lost");
}

#[tokio::test]
async fn a_handler_goes_on_after_its_answer_is_complete() {
    let server = web().await;
    let answer = get(&server, "/apps/web/after?ms=50").await;
    assert_eq!(answer.body, "done");
    let record = ended(&server).await;
    assert_eq!(code_of(&record), "no error");
    assert_eq!(printed(&record), ["debug after the answer"]);
    let shown = get(&server, &format!("/v1/invocations/{}", record.id))
        .await
        .json();
    assert_eq!(shown["result"]["status"], 200, "{shown}");
}

#[tokio::test]
async fn what_is_printed_is_logged_while_it_runs() {
    let server = web().await;
    get(&server, "/apps/web/print").await;
    let wanted = ["debug to standard output", "warn to standard error"];
    assert_eq!(printed(&ended(&server).await), wanted);
    let logs = get(&server, "/v1/logs?function=web").await.json();
    assert_eq!(logs["items"][0]["message"], "to standard error");
}

#[tokio::test]
async fn it_waits_for_its_place_and_not_for_longer_than_its_time() {
    let server = web_with(json!({"functions": {"web": {"concurrency": 1}}})).await;
    let mut first = Wire::open(&server, &request("/forever", "")).await;
    first.until("more").await;
    let second = server
        .send("GET", "/apps/web/about", "eddy-timeout: 50ms\r\n", "")
        .await;
    assert_eq!(second.code(), "deadline-exceeded");
    assert!(second.body.contains("no instance was free"), "{second:?}");
    drop(first);
    assert_eq!(get(&server, "/apps/web/about").await.status, 200);
}

#[tokio::test]
async fn it_is_not_invoked() {
    let server = web().await;
    let refused = server.send("POST", "/v1/functions/web", "", "").await;
    assert_eq!((refused.status, &*refused.code()), (400, "not-invocable"));
    assert!(refused.body.contains("/apps/web/"), "{refused:?}");
    let later = server
        .send("POST", "/v1/functions/web", "prefer: respond-async\r\n", "")
        .await;
    assert_eq!(later.code(), "not-invocable");
    let nested = get(&server, "/apps/web/invoke?function=web&argument=1").await;
    assert_eq!(nested.body, "not-invocable");
}
