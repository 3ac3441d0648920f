//! Connections: made, lost, made again, and what is sent again then.

use crate::support::{Answers, Node};
use eddy_client::{Client, ErrorCode};
use eddy_link::tls::TlsServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_node_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("eddy://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let error = Client::connect(&url).await.expect_err("nobody listens");
    assert_eq!(error.code, ErrorCode::NodeUnreachable);
}

#[tokio::test]
async fn something_else_listens_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("eddy://{}", listener.local_addr().expect("bound"));
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(answer).await;
    });
    let error = Client::connect(&url).await.expect_err("not a node");
    assert_eq!(error.code, ErrorCode::NodeUnreachable);
    other.await.expect("no panic");
}

#[tokio::test]
async fn the_next_request_connects_again() {
    let mut node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    let echo = client.function("echo");
    assert_eq!(echo.invoke::<u32>(&1).await, Ok(1));
    node.kill().await;
    let again = Node::start_at(node.address, None).await;
    // The client may not have seen the end yet: then only a key lets it send again.
    assert_eq!(echo.invoke::<u32>(&2).idempotency_key("k").await, Ok(2));
    for i in 3..10 {
        assert_eq!(echo.invoke::<u32>(&i).await, Ok(i));
    }
    assert_eq!(again.answers.handled.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn a_request_waits_for_a_node_that_starts() {
    let mut node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    node.kill().await;
    let asked = tokio::spawn({
        let echo = client.function("echo");
        async move { echo.invoke::<u32>(&1).idempotency_key("k").await }
    });
    tokio::task::yield_now().await;
    let _again = Node::start_at(node.address, None).await;
    assert_eq!(asked.await.expect("no panic"), Ok(1));
}

#[tokio::test]
async fn without_a_key_nothing_is_sent_twice() {
    let node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    node.answers.failures.store(1, Ordering::SeqCst);
    let flaky = client.function("flaky");
    let error = flaky.invoke::<u32>(&1).await.expect_err("unknown");
    assert_eq!(error.code, ErrorCode::ConnectionLost);
    assert_eq!(node.answers.handled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn with_a_key_it_is_sent_until_answered() {
    let node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    node.answers.failures.store(3, Ordering::SeqCst);
    let call = client.function("flaky").invoke::<u32>(&1);
    assert_eq!(call.idempotency_key("k").await, Ok(1));
    assert_eq!(node.answers.handled.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_node_that_drains_loses_nothing() {
    let node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let echo = client.function("echo");
            tokio::spawn(async move {
                for i in 0..100_u32 {
                    assert_eq!(echo.invoke::<u32>(&i).await, Ok(i));
                }
            })
        })
        .collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
        let connections = std::mem::take(&mut *node.answers.connections.lock().expect("ok"));
        for (_task, drain) in connections {
            drain.start();
        }
    }
    for task in tasks {
        task.await.expect("all right");
    }
    assert_eq!(node.answers.handled.load(Ordering::SeqCst), 1600);
}

#[tokio::test]
async fn over_tls() {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = TlsServer::new(chain.as_bytes(), key.as_bytes()).expect("they belong together");
    let node = Node::start_at("127.0.0.1:0".parse().expect("an address"), Some(tls)).await;
    let url = format!("eddys://{}", node.address);
    let builder = Client::builder(&url).tls_roots(chain);
    let client = builder.connect().await.expect("a trusted node");
    let large = "x".repeat(500_000);
    let back: String = client.function("echo").invoke(&large).await.expect("ok");
    assert_eq!(back, large);
    // Trust is not given away.
    let error = Client::connect(&url).await.expect_err("no roots");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("ok");
    let builder = Client::builder(&url).tls_roots(other.cert.pem());
    let error = builder.connect().await.expect_err("not trusted");
    assert_eq!(error.code, ErrorCode::NodeUnreachable);
}

/// A certificate for `localhost`, and a server that has it.
fn certificate() -> (String, TlsServer) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("ok");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = TlsServer::new(chain.as_bytes(), key.as_bytes()).expect("they belong together");
    (chain, tls)
}

#[tokio::test]
async fn the_time_to_connect_counts() {
    let (chain, tls) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let answers = Arc::new(Answers::default());
    let handler = answers.clone();
    let _node = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let transport = tls.accept(stream).await.expect("shaken");
        let config = eddy_link::Config::default();
        eddy_link::serve(transport, handler, &config).0.await
    });
    let builder = Client::builder(&format!("eddys://localhost:{port}")).tls_roots(chain);
    let client = builder.build().expect("an address");
    let wait = client.function("wait").invoke::<()>(&());
    let error = wait.timeout(Duration::from_secs(1)).await;
    assert_eq!(error.expect_err("late").code, ErrorCode::DeadlineExceeded);
    let told = answers.timeout.lock().expect("no panic").expect("asked");
    assert!(told <= Duration::from_millis(700), "{told:?}");
}

#[tokio::test]
async fn who_waits_for_an_attempt_shares_its_failure() {
    let (chain, _) = certificate();
    // Takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let _silent = tokio::spawn(async move {
        let mut streams = Vec::new();
        loop {
            streams.push(listener.accept().await.expect("a connection"));
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let client = Client::builder(&format!("eddys://localhost:{port}"))
        .tls_roots(chain)
        .connect_timeout(Duration::from_millis(300))
        .retries(0)
        .build()
        .expect("an address");
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let echo = client.function("echo");
            tokio::spawn(async move { echo.invoke::<u32>(&1).await })
        })
        .collect();
    for asked in asked {
        let error = asked.await.expect("no panic").expect_err("silence");
        assert_eq!(error.code, ErrorCode::NodeUnreachable);
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    // The next one tries again.
    let error = client.function("echo").invoke::<u32>(&1).await;
    assert!(error.is_err());
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
}
