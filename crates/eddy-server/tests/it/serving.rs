//! What a server says before any code runs.

use crate::wire::{Answer, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn health_is_plain() {
    let server = Running::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.send("GET", path, "", "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "{\"status\":\"ok\"}"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn mistakes_are_problems_with_codes() {
    let server = Running::start().await;
    let long = "x".repeat(300);
    let far = format!("/v1/agents/cart/{long}/add");
    let cases = [
        ("GET", "/v1/nothing", "", "", 404, "unknown-route"),
        ("GET", "/", "", "", 404, "unknown-route"),
        ("PUT", "/v1/apps", "", "", 405, "method-not-allowed"),
        (
            "POST",
            "/v1/functions/nobody",
            "",
            "null",
            404,
            "unknown-function",
        ),
        ("POST", "/v1/functions/1st", "", "", 400, "invalid-name"),
        (
            "POST",
            "/v1/functions/f",
            "",
            "{\"a\":}",
            400,
            "invalid-json",
        ),
        (
            "POST",
            "/v1/functions/f",
            "eddy-timeout: 2\r\n",
            "",
            400,
            "invalid-argument",
        ),
        (
            "POST",
            "/v1/functions/f",
            "idempotency-key: \"\"\r\n",
            "",
            400,
            "invalid-argument",
        ),
        (
            "POST",
            "/v1/agents/cart/a/b",
            "eddy-consistency: x\r\n",
            "",
            400,
            "invalid-argument",
        ),
        (
            "POST",
            "/v1/agents/cart/a/add",
            "",
            "",
            404,
            "unknown-agent-type",
        ),
        ("POST", &far, "", "", 400, "invalid-name"),
        (
            "POST",
            "/v1/agents/cart/%FF/add",
            "",
            "",
            400,
            "invalid-name",
        ),
        (
            "GET",
            "/v1/agents/cart?nope=1",
            "",
            "",
            400,
            "invalid-argument",
        ),
        (
            "GET",
            "/v1/invocations?limit=x",
            "",
            "",
            400,
            "invalid-argument",
        ),
        (
            "GET",
            "/v1/invocations/zz",
            "",
            "",
            404,
            "unknown-invocation",
        ),
        ("PUT", "/v1/state/cart/a", "", "", 400, "invalid-json"),
        (
            "PUT",
            "/v1/state/cart/a",
            "",
            "{\"version\":2}",
            400,
            "invalid-argument",
        ),
        ("GET", "/v1/apps/none", "", "", 404, "unknown-app"),
        ("POST", "/v1/apps", "", "{", 400, "invalid-json"),
        ("POST", "/v1/apps", "", "{}", 400, "invalid-argument"),
        (
            "DELETE",
            "/v1/dead-letters/1-2-3",
            "",
            "",
            404,
            "unknown-dead-letter",
        ),
        (
            "POST",
            "/v1/dead-letters/x/redrive",
            "",
            "",
            404,
            "unknown-dead-letter",
        ),
        (
            "POST",
            "/v1/functions/f",
            "origin: https://example.com\r\n",
            "",
            403,
            "cross-origin",
        ),
    ];
    for (method, path, headers, body, status, code) in cases {
        let answer = server.send(method, path, headers, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let server = Running::start().await;
    let answer = server.send("PUT", "/v1/apps", "", "").await;
    let allow = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("allow: "));
    let mut methods: Vec<_> = allow.expect("an Allow header").split(',').collect();
    methods.sort_unstable();
    assert_eq!(methods, ["get", "head", "post"]);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let server = Running::start().await;
    // Announced, and sent by a client that reads only afterwards.
    let body = " ".repeat(2_000_000);
    let answer = server.send("POST", "/v1/functions/f", "", &body).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "payload-too-large")
    );

    // Announced by a client that asks first: nothing is read, nothing is sent.
    let ask = b"POST /v1/functions/f HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 104857600\r\n\r\n";
    let answer = server.raw(ask).await;
    assert_eq!(answer.code(), "payload-too-large");

    // In pieces, without a length.
    let mut stream = server.connect().await;
    let head = "POST /v1/functions/f HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the head goes out");
    let piece = format!("{:x}\r\n{}\r\n", 100_000, " ".repeat(100_000));
    for _ in 0..20 {
        stream
            .write_all(piece.as_bytes())
            .await
            .expect("the server takes it off the wire");
    }
    stream
        .write_all(b"0\r\n\r\n")
        .await
        .expect("the end goes out");
    assert_eq!(Answer::read(&mut stream).await.code(), "payload-too-large");
}

#[tokio::test]
async fn a_deploy_has_its_own_limit() {
    let server = Running::start().await;
    let ask = b"POST /v1/apps HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 67108865\r\n\r\n";
    assert_eq!(server.raw(ask).await.code(), "payload-too-large");
    let large = format!(
        "{{\"manifest\":{{}},\"components\":[],\"x\":\"{}\"}}",
        " ".repeat(2_000_000)
    );
    let answer = server.send("POST", "/v1/apps", "", &large).await;
    assert_eq!(answer.code(), "invalid-argument");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    let two = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(two).await.expect("both go out");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .await
        .expect("both answers come");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    // The preface and an empty SETTINGS frame; a server of HTTP/2 answers with its SETTINGS.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("it goes out");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("a frame comes");
    assert_eq!(frame[3], 4, "the first frame is SETTINGS: {frame:?}");
}

#[tokio::test]
async fn metrics_come_in_both_formats() {
    let server = Running::start().await;
    let plain = server.send("GET", "/metrics", "", "").await;
    assert!(
        plain.head.contains("text/plain; version=0.0.4"),
        "{}",
        plain.head
    );
    assert!(
        plain.body.contains("# TYPE eddy_turns_total counter"),
        "{}",
        plain.body
    );
    let accept = "accept: application/openmetrics-text; version=1.0.0\r\n";
    let open = server.send("GET", "/metrics", accept, "").await;
    assert!(
        open.head.contains("application/openmetrics-text"),
        "{}",
        open.head
    );
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_takes_no_new_ones() {
    let mut server = Running::start().await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it goes out");
    let mut some = [0; 16];
    idle.read_exact(&mut some).await.expect("an answer comes");
    server
        .stop
        .take()
        .expect("it runs")
        .send(())
        .expect("it listens for the stop");
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest)
        .await
        .expect("the connection is closed in order");
    (&mut server.task).await.expect("the server ends");
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err()
    );
    assert!(
        server.node.ready().is_ok(),
        "the node is its owner's to stop"
    );
}

#[tokio::test]
async fn a_page_whose_name_was_pointed_here_reads_nothing() {
    let server = Running::start().await;
    for path in [
        "/v1/apps",
        "/v1/invocations",
        "/v1/openapi.json",
        "/metrics",
    ] {
        let get = |host: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").into_bytes()
        };
        let port = server.address.port();
        let rebound = server.raw(&get(&format!("rebound.example:{port}"))).await;
        assert_eq!(
            (rebound.status, rebound.code().as_str()),
            (403, "cross-origin"),
            "{path}"
        );
        for host in ["127.0.0.1", "localhost", "[::1]", "shop.localhost"] {
            let answer = server.raw(&get(&format!("{host}:{port}"))).await;
            assert_eq!(answer.status, 200, "{host} {path}");
        }
    }
    let old = server.raw(b"GET /v1/apps HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200, "HTTP/1.0 needs no Host");
}

#[tokio::test]
async fn slow_bodies_do_not_keep_others_from_deploying() {
    let server = Running::start().await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect().await;
        let head = b"POST /v1/apps HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
        stream
            .write_all(head)
            .await
            .expect("the beginning goes out");
        slow.push(stream);
    }
    // They are certainly waiting for more when another connection was answered.
    assert_eq!(server.send("GET", "/v1/apps", "", "").await.status, 200);
    let deploy = server.send("POST", "/v1/apps", "", "{}");
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), deploy).await;
    let answer = answer.expect("a deploy that is whole does not wait for the others");
    assert_eq!(answer.code(), "invalid-argument");
}

#[tokio::test]
async fn routes_without_a_query_refuse_one() {
    let server = Running::start().await;
    for (method, path) in [
        ("POST", "/v1/functions/echo?x=1"),
        ("POST", "/v1/agents/cart/a/add?x=1"),
        ("GET", "/v1/agents/cart/a?x=1"),
        ("GET", "/v1/state/cart/a?replace=true"),
        ("PUT", "/v1/state/cart/a?x=1"),
        ("PUT", "/v1/state/cart/a?replace=maybe"),
        ("GET", "/v1/apps?x=1"),
        ("DELETE", "/v1/apps/shop?x=1"),
        ("GET", "/v1/invocations?x=1"),
    ] {
        let answer = server.send(method, path, "", "").await;
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains("invalid-argument"), "{}", answer.body);
    }
    let listed = server.send("GET", "/v1/invocations?limit=1", "", "").await;
    assert_eq!(listed.status, 200, "{}", listed.body);
}

#[tokio::test]
async fn a_chunked_body_that_asked_first_and_is_too_large_is_refused_with_an_answer() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    let head = "POST /v1/functions/echo HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream
        .write_all(head.as_bytes())
        .await
        .expect("it goes out");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.expect("100 comes");
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{interim:?}");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..32 {
        stream
            .write_all(chunk.as_bytes())
            .await
            .expect("it is taken");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("it is taken");
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&answer).contains("payload-too-large") {
        let length = stream.read(&mut piece).await.expect("an answer comes");
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 413"));
}
