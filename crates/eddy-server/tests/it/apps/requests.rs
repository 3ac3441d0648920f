//! What an app sees of a request, and how bodies go through.

use super::{GUEST, LAST_CHUNK, Wire, deploy, get, web, web_with};
use crate::wire::Running;
use bytes::Bytes;
use eddy_types::TenantId;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::sync::mpsc;

#[tokio::test]
async fn an_app_sees_the_request_but_for_what_is_the_nodes() {
    let server = web_with(json!({"env": {"MODE": "test"}})).await;
    let headers = "authorization: Basic eDp5\r\nx-own: 1\r\nx-own: 2\r\nte: trailers\r\n\
                   eddy-timeout: 9s\r\neddy-tenant: default\r\n\
                   x-forwarded-host: evil.example\r\nforwarded: for=1.2.3.4\r\n";
    let answer = server
        .send("PURGE", "/apps/web/about/../about?a=%20&b", headers, "")
        .await;
    assert_eq!(answer.status, 404, "dots are the app's: {answer:?}");
    let answer = server
        .send("PURGE", "/apps/web/about?a=%20&b", headers, "")
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("eddy-invocation: "), "{answer:?}");
    assert!(
        answer.head.contains("content-type: text/plain"),
        "{answer:?}"
    );
    insta::assert_snapshot!(answer.body);
}

#[tokio::test]
async fn the_root_of_an_app_has_two_names_and_unknown_ones_are_told() {
    let server = web().await;
    for path in ["/apps/web", "/apps/web/", "/apps/web?x=y"] {
        let answer = get(&server, path).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (404, "no such thing"),
            "{path}"
        );
    }
    assert_eq!(get(&server, "/apps/wbe/about").await.code(), "unknown-app");
    assert_eq!(get(&server, "/apps/").await.code(), "unknown-route");
    assert_eq!(get(&server, "/apps").await.code(), "unknown-route");
    assert_eq!(get(&server, "/apps//web").await.code(), "unknown-route");
    let tunnel = server.send("CONNECT", "/apps/web/about", "", "").await;
    assert_eq!(tunnel.code(), "method-not-allowed");
    assert!(tunnel.head.contains("allow: get, "), "{tunnel:?}");
    let foreign = "origin: https://example.com\r\n";
    let refused = server.send("GET", "/apps/web/about", foreign, "").await;
    assert_eq!(refused.code(), "cross-origin");
}

#[tokio::test]
async fn the_longest_route_answers() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Running::start_over(data, 64, None).await;
    let tenant = TenantId::default_tenant();
    let two = [("web", GUEST), ("api", GUEST)];
    let refused = deploy(&server, &tenant, "shop", json!({}), &two).await;
    let refused = refused.expect_err("which one answers?");
    assert_eq!(refused.code.as_str(), "invalid-manifest");
    let routes = json!({"routes": {"/api": "api", "/about": "web"}});
    deploy(&server, &tenant, "shop", routes, &two)
        .await
        .expect("it deploys");
    for (path, function) in [
        ("/apps/shop/api/about", Some("api")),
        ("/apps/shop/api", Some("api")),
        ("/apps/shop/about", Some("web")),
        ("/apps/shop/apidocs", None),
        ("/apps/shop", None),
    ] {
        let answer = get(&server, path).await;
        let Some(function) = function else {
            assert_eq!(answer.code(), "unknown-route", "{path}");
            continue;
        };
        let record = format!("/v1/invocations/{}", invocation(&answer.head));
        let record = get(&server, &record).await.json();
        assert_eq!(record["target"]["function"], function, "{path}: {record}");
    }
}

fn invocation(head: &str) -> &str {
    let (_, rest) = head.split_once("eddy-invocation: ").expect("an id");
    rest.lines().next().expect("a line")
}

#[tokio::test]
async fn bodies_go_both_ways_at_once_with_trailers() {
    let server = web().await;
    let head = "POST /apps/web/echo HTTP/1.1\r\nhost: localhost\r\nconnection: TE\r\nte: trailers\r\n\
                transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
    let mut wire = Wire::open(&server, head).await;
    for piece in ["one", "two"] {
        wire.write(format!("3\r\n{piece}\r\n").as_bytes()).await;
        // It is back before the next one goes.
        wire.until(&format!("3\r\n{piece}\r\n")).await;
    }
    wire.write(b"0\r\nx-sum: 6\r\n\r\n").await;
    wire.until("0\r\nx-sum: 6\r\n\r\n").await;
}

#[tokio::test]
async fn a_large_body_is_waited_for_and_counted() {
    const PIECES: usize = 256;
    let server = web().await;
    let length = PIECES << 16;
    let head = format!(
        "POST /apps/web/upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    let mut wire = Wire::open(&server, &head).await;
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    let piece = vec![b'x'; 1 << 16];
    for _ in 0..PIECES {
        wire.write(&piece).await;
    }
    let answer = wire.rest().await;
    assert!(
        answer.contains(&format!("\r\n{length:x}\r\n")) || answer.contains(&length.to_string()),
        "{answer}"
    );

    // Who does not read it asks for nothing.
    let unread = head.replace("upload", "about");
    let answer = Wire::open(&server, &unread).await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_answer_without_a_body_is_a_head() {
    let server = web().await;
    let head = server.send("HEAD", "/apps/web/about", "", "").await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.head.contains("content-type: text/plain"), "{head:?}");
    let empty = get(&server, "/apps/web/status?code=204&body=ignored").await;
    assert_eq!((empty.status, &*empty.body), (204, ""));
    for _ in 0..2 {
        assert_eq!(super::code_of(&super::ended(&server).await), "no error");
    }
    let teapot = get(&server, "/apps/web/status?code=418&body=short").await;
    assert_eq!(teapot.status, 418);
    assert!(teapot.body.contains("short"), "{teapot:?}");
}

#[tokio::test]
async fn events_come_as_they_are_made() {
    let server = web().await;
    let head = "GET /apps/web/events?n=3&pause=20 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut wire = Wire::open(&server, head).await;
    let first = wire.until("data: 0\n\n").await;
    assert!(first.contains("text/event-stream"), "{first}");
    assert!(!first.contains("data: 2"), "{first}");
    let rest = wire.rest().await;
    assert!(
        rest.contains("data: 2\n\n") && rest.ends_with(LAST_CHUNK),
        "{rest}"
    );
}

#[tokio::test]
async fn http_2_carries_the_same() {
    let server = web().await;
    let io = TokioIo::new(server.connect().await);
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut client, connection) = client.await.expect("it speaks HTTP/2");
    #[allow(clippy::disallowed_methods, reason = "a test's own task")]
    let connection = tokio::spawn(connection);
    let (pieces, body) = mpsc::unbounded_channel();
    let body = futures::stream::unfold(body, |mut body| async {
        let piece: &'static str = body.recv().await?;
        let frame = Frame::data(Bytes::from_static(piece.as_bytes()));
        Some((Ok::<_, std::convert::Infallible>(frame), body))
    });
    let request = hyper::Request::post("http://localhost/apps/web/echo");
    let request = request.body(StreamBody::new(Box::pin(body)));
    let answer = client.send_request(request.expect("a request"));
    let mut answer = answer
        .await
        .expect("it begins before the request ends")
        .into_body();
    for piece in ["one", "two"] {
        pieces.send(piece).expect("it is read");
        let came = answer.frame().await.expect("a frame").expect("it is whole");
        assert_eq!(came.into_data().expect("data"), piece.as_bytes());
    }
    drop(pieces);
    let rest = answer.collect().await.expect("it ends well");
    assert!(rest.to_bytes().is_empty());
    drop(client);
    connection.abort();
}
