//! Answers that their clients do not read.

use super::{PLAIN, code_of, deploy, ended, get, web};
use crate::wire::Running;
use bytes::Bytes;
use eddy_types::TenantId;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinHandle;

/// An HTTP/2 client that lets nothing of a body be sent to it.
struct Deaf {
    client: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Deaf {
    async fn open(server: &Running) -> Self {
        let io = TokioIo::new(server.connect().await);
        let mut client = http2::Builder::new(TokioExecutor::new());
        let client = client.initial_stream_window_size(0);
        let (client, connection) = client.handshake(io).await.expect("it speaks HTTP/2");
        #[allow(clippy::disallowed_methods, reason = "a test's own task")]
        let connection = tokio::spawn(connection);
        Self { client, connection }
    }

    /// The head of an answer.
    async fn ask(&mut self, method: &str, path: &str, body: String) -> Response<Incoming> {
        let request = Request::builder().method(method);
        let request = request.uri(format!("http://localhost{path}"));
        let request = request.body(Full::new(Bytes::from(body)));
        let answer = self.client.send_request(request.expect("a request"));
        answer.await.expect("its head comes")
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// From now on the default tenant has one request at a time.
async fn one_at_a_time(server: &Running) {
    let one = server.send("PUT", "/v1/tenants/default", "", "{\"concurrency\":1}");
    let one = one.await;
    assert_eq!(one.status, 200, "{one:?}");
}

#[tokio::test]
async fn an_apps_answer_that_nobody_reads_counts_for_its_tenant() {
    let server = web().await;
    one_at_a_time(&server).await;
    let mut deaf = Deaf::open(&server).await;
    let path = "/apps/web/status?code=200&body=x";
    let answer = deaf.ask("GET", path, String::new()).await;
    assert_eq!(code_of(&ended(&server).await), "no error");
    let second = get(&server, "/apps/web/about").await;
    assert_eq!(second.code(), "tenant-limit");
    drop((answer, deaf));
    while get(&server, "/apps/web/about").await.status != 200 {}
}

#[tokio::test]
async fn a_large_answer_that_nobody_reads_counts_for_its_tenant() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Running::start_over(data, 64, None).await;
    let tenant = TenantId::default_tenant();
    let plain = [("main", PLAIN)];
    deploy(&server, &tenant, "plain", json!({}), &plain)
        .await
        .expect("it deploys");
    one_at_a_time(&server).await;
    let mut deaf = Deaf::open(&server).await;
    let echo = "/v1/functions/echo";
    let text = |bytes| format!("\"{}\"", "x".repeat(bytes));
    let small = deaf.ask("POST", echo, text(1000)).await;
    assert_eq!(small.status(), 200);
    // As if it were read.
    while get(&server, "/v1/apps").await.status != 200 {}

    let large = deaf.ask("POST", echo, text(800_000)).await;
    assert_eq!(large.status(), 200);
    // For longer than the call took.
    for _ in 0..20 {
        assert_eq!(get(&server, "/v1/apps").await.code(), "tenant-limit");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((small, large, deaf));
    while get(&server, "/v1/apps").await.status != 200 {}

    // Who reads has it as it was made.
    let answer = server.send("POST", echo, "", &text(800_000)).await;
    assert!(
        answer.head.contains("content-length: 800002"),
        "{}",
        answer.head
    );
    assert!(answer.body == text(800_000));
}
