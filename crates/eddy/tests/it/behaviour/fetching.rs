//! Requests to a server of the test's own, and to hosts that the manifest does not allow.

use super::app::App;
use eddy_types::ErrorCode;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

pub(crate) async fn requests_to_allowed_hosts(app: &App) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    let url = |path: &str| format!("http://localhost:{port}/{path}");
    let denied = app
        .invoke("fetch_url", json!({ "url": url("plain") }))
        .await;
    assert_eq!(denied.unwrap_err().code, ErrorCode::CapabilityDenied);
    app.may_fetch_from(port).await;

    let fetched = app
        .invoked("fetch_url", json!({ "url": url("plain") }))
        .await;
    let wanted = json!({ "status": 200, "ok": true, "reply": "GET none", "text": "grüße" });
    assert_eq!(fetched, wanted);
    let post = json!({ "url": url("echo"), "method": "POST", "headers": { "x-ask": "why" }, "body": "käse" });
    let fetched = app.invoked("fetch_url", post).await;
    let wanted = json!({ "status": 200, "ok": true, "reply": "POST why", "text": "käse" });
    assert_eq!(fetched, wanted);
    let fetched = app
        .invoked("fetch_url", json!({ "url": url("gone") }))
        .await;
    let wanted = json!({ "status": 404, "ok": false, "reply": "GET none", "text": "" });
    assert_eq!(fetched, wanted);
    // Some servers answer with what no list has.
    let fetched = app.invoked("fetch_url", json!({ "url": url("odd") })).await;
    let wanted = json!({ "status": 799, "ok": false, "reply": "GET none", "text": "" });
    assert_eq!(fetched, wanted);
    let parsed = app
        .invoked("fetch_json", json!({ "url": url("json") }))
        .await;
    assert_eq!(parsed, json!({ "n": [1] }));
    let late = json!({ "ms": 50, "url": url("never") });
    assert_eq!(
        app.invoked("fetch_within", late).await,
        json!({ "timed_out": true })
    );
    let in_time = json!({ "ms": 60_000, "url": url("plain") });
    assert_eq!(
        app.invoked("fetch_within", in_time).await,
        json!({ "value": 200 })
    );

    for host in ["localhost:2", "example.com", "127.0.0.1"] {
        let url = json!({ "url": format!("http://{host}/") });
        let caught = app.invoked("fetch_caught", url).await;
        assert_eq!(caught, json!({ "code": "capability-denied" }), "{host}");
    }
}

/// One request; the answer says in `x-reply` what was asked.
fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut head) = (String::new(), Vec::new());
    while reader.read_line(&mut line).unwrap_or_default() > 2 {
        head.push(std::mem::take(&mut line).trim().to_lowercase());
    }
    let header = |name: &str| {
        let mut values = head.iter().filter_map(|line| line.strip_prefix(name));
        values.next().map(str::to_owned)
    };
    let length = header("content-length: ").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let Some((method, path)) = head.first().and_then(|first| first.split_once(" /")) else {
        return;
    };
    let (status, body) = match path.split(' ').next() {
        Some("plain") => ("200 OK", "grüße".as_bytes().to_vec()),
        Some("json") => ("200 OK", br#"{"n":[1]}"#.to_vec()),
        Some("echo") => ("200 OK", body),
        Some("odd") => ("799 Odd", Vec::new()),
        // Until the other side gives up.
        Some("never") => return drop(reader.read_to_end(&mut Vec::new())),
        _ => ("404 Not Found", Vec::new()),
    };
    let ask = header("x-ask: ").unwrap_or("none".to_owned());
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nx-reply: {} {ask}\r\nconnection: close\r\n\r\n",
        body.len(),
        method.to_uppercase(),
    );
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}
