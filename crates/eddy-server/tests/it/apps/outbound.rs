//! Outbound requests of apps that answer HTTP, and what `wasi:http` promises.

use super::{GUEST, PLAIN, Wire, deploy, ended, get, printed, web, web_with};
use crate::wire::Running;
use eddy_types::TenantId;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers each connection with `answer`, whatever comes, and keeps what came.
async fn other(answer: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (sender, came) = tokio::sync::mpsc::unbounded_channel();
    #[allow(clippy::disallowed_methods, reason = "a test's own task")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = sender.send(head_of(&mut stream).await);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, came)
}

/// A server that says at once that it speaks HTTP.
async fn without_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    #[allow(clippy::disallowed_methods, reason = "a test's own task")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(HELLO.as_bytes()).await;
        }
    });
    port
}

/// A request: its head, and its body when it came in chunks.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(read) if read > 0 => text += &String::from_utf8_lossy(&piece[..read]),
            _ => return text,
        }
        let ended = match text.contains("transfer-encoding: chunked") {
            true => text.ends_with("0\r\n\r\n"),
            false => text.ends_with("\r\n\r\n"),
        };
        if ended {
            return text;
        }
    }
}

async fn web_that_reaches(port: u16) -> Running {
    let host = format!("127.0.0.1:{port}");
    web_with(json!({"capabilities": {"hosts": [host]}})).await
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

#[tokio::test]
async fn a_listed_host_is_reached_and_its_answer_passed_on() {
    let (port, mut came) = other(HELLO).await;
    let server = web_that_reaches(port).await;
    let answer = get(
        &server,
        &format!("/apps/web/fetch?to=127.0.0.1:{port}/x%20y?z"),
    )
    .await;
    assert!(answer.head.contains("x-status: 200"), "{answer:?}");
    assert!(answer.body.contains("hello"), "{answer:?}");
    let request = came.recv().await.expect("a request");
    assert!(
        request.starts_with("GET /x%20y?z HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{request}"
    );
    assert!(request.contains("x-guest: yes\r\n"), "{request}");
    assert!(
        !request.contains("\r\nte:") && !request.contains("\r\nexpect:"),
        "the connection is the node's: {request}"
    );
    let twice = get(&server, &format!("/apps/web/twice?to=127.0.0.1:{port}/")).await;
    assert!(twice.body.contains("[200, 200]"), "{twice:?}");
}

#[tokio::test]
async fn what_is_not_listed_is_denied_and_the_log_says_why() {
    let server = web().await;
    let answer = get(&server, "/apps/web/fetch?to=127.0.0.1:9/secret").await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("HttpRequestDenied"), "{answer:?}");
    let lines = printed(&ended(&server).await);
    assert!(
        lines[0].starts_with("warn capability-denied: the app may not reach 127.0.0.1:9"),
        "{lines:?}"
    );
    assert!(!lines[0].contains("secret"), "{lines:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let (port, mut came) = other(
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    let server = web_that_reaches(port).await;
    let answer = get(&server, &format!("/apps/web/fetch?to=127.0.0.1:{port}/")).await;
    assert!(answer.head.contains("x-status: 302"), "{answer:?}");
    assert!(came.recv().await.is_some() && came.try_recv().is_err());
}

#[tokio::test]
async fn what_fails_has_its_code() {
    let (silent, _came) = other("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let (half, _also) = other("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let plain = without_tls().await;
    let hosts: Vec<_> = [silent, closed, half, plain]
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let server = web_with(json!({"capabilities": {"hosts": hosts}})).await;
    let fetch = async |port: u16, more: &str| {
        let path = format!("/apps/web/fetch?to=127.0.0.1:{port}/{more}");
        get(&server, &path).await.body
    };
    assert!(fetch(closed, "").await.contains("ConnectionRefused"));
    assert!(
        fetch(silent, "&wait=50")
            .await
            .contains("ConnectionTerminated")
    );
    assert!(fetch(half, "").await.contains("half"), "as much as came");
    let path = format!("/apps/web/fetch?to=https:127.0.0.1:{plain}/");
    let answer = get(&server, &path).await.body;
    assert!(answer.contains("TlsProtocolError"), "{answer}");
}

#[tokio::test]
async fn a_body_goes_on_while_it_comes() {
    let (port, mut came) = other(HELLO).await;
    let server = web_that_reaches(port).await;
    let head = format!(
        "POST /apps/web/forward?to=127.0.0.1:{port}/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n3\r\none\r\n"
    );
    let mut wire = Wire::open(&server, &head).await;
    wire.write(b"3\r\ntwo\r\n0\r\n\r\n").await;
    let answer = wire.rest().await;
    assert!(answer.contains("hello"), "{answer}");
    let request = came.recv().await.expect("a request");
    assert!(
        request.contains("one") && request.contains("two"),
        "{request}"
    );
}

#[tokio::test]
async fn half_a_request_does_not_look_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let server = web_that_reaches(port).await;
    let head = format!(
        "POST /apps/web/forward?to=127.0.0.1:{port}/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         eddy-timeout: 500ms\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"
    );
    let wire = Wire::open(&server, &head).await;
    let (mut stream, _) = listener.accept().await.expect("a request");
    let mut piece = [0; 4096];
    let mut request = String::new();
    while !request.contains("one") {
        let read = stream.read(&mut piece).await.expect("it comes");
        request += &String::from_utf8_lossy(&piece[..read]);
    }
    // The answer begins early, so that only the body of the request is under way.
    let early = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(early).await.expect("it goes out");
    request += &head_of(&mut stream).await;
    assert!(
        request.contains("one") && !request.ends_with("0\r\n\r\n"),
        "{request}"
    );
    assert!(wire.rest().await.contains("deadline-exceeded"));
}

/// Fields, immutable headers, one body for each message, lengths, options: in the guest.
#[tokio::test]
async fn the_rules_of_wasi_http_hold() {
    let server = web().await;
    let answer = Wire::open(
        &server,
        "GET /apps/web/rules HTTP/1.0\r\nhost: localhost\r\n\r\n",
    );
    let answer = answer.await.rest().await;
    let (head, broken) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert_eq!(broken, "");
}

#[tokio::test]
async fn functions_and_agents_are_asked_through_eddys_own_interface() {
    let server = web().await;
    let tenant = TenantId::default_tenant();
    let plain = [("main", PLAIN)];
    deploy(&server, &tenant, "plain", json!({}), &plain)
        .await
        .expect("it deploys");
    let invoked = get(&server, "/apps/web/invoke?function=echo&argument=17").await;
    assert!(invoked.body.contains("17"), "{invoked:?}");
    let sent = get(
        &server,
        "/apps/web/send?type=counter&key=a&method=increment",
    )
    .await;
    assert_eq!(sent.status, 200, "{sent:?}");
    ended(&server).await;
    let value = loop {
        let value = server
            .send("POST", "/v1/agents/counter/a/value", "", "")
            .await
            .body;
        if value != "{\"n\":0}" {
            break value;
        }
    };
    assert_eq!(value, "{\"n\":1}");
}

#[tokio::test]
async fn only_what_answers_http_gets_wasi_http() {
    // A component that is both would be one of Eddy's own world.
    assert!(!PLAIN.windows(9).any(|bytes| bytes == b"wasi:http"));
    assert!(GUEST.windows(9).any(|bytes| bytes == b"wasi:http"));
}
