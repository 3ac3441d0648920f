//! Requests and their answers, when nothing goes wrong on the way.

use crate::support::{echo, full_error, invoke, large, pair};
use eddy_link::{Config, Fate, Operation, Request};
use eddy_types::ErrorCode;
use std::time::Duration;

#[tokio::test]
async fn a_request_is_answered() {
    let (link, _served) = pair(&Config::default()).await;
    let reply = echo(&link, "\"hi\"").await.expect("an answer");
    assert_eq!(&reply.body[..], b"\"hi\"");
    assert_eq!(reply.invocation, Some([7; 16]));
    assert_eq!(echo(&link, "").await.expect("an answer").body.len(), 0);
}

#[tokio::test]
async fn every_part_of_a_request_arrives() {
    let (link, served) = pair(&Config::default()).await;
    let request = Request {
        tenant: Some("acme".to_owned()),
        timeout: Some(Duration::from_secs(20)),
        idempotency_key: Some("k-1".to_owned()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..Request::new(
            Operation::Call {
                agent_type: "cart".to_owned(),
                key: "alice".to_owned(),
                method: "keep".to_owned(),
                snapshot: true,
            },
            "[1]".into(),
        )
    };
    let sent = request.clone();
    let asked = tokio::spawn(async move { link.request(request).await });
    let (came, responder) = served.probe.take().await;
    assert_eq!(came, sent);
    responder.finish(Ok(eddy_link::Reply::default()));
    asked.await.expect("no panic").expect("an answer");
}

#[tokio::test]
async fn errors_arrive_whole() {
    let (link, _served) = pair(&Config::default()).await;
    let failure = link
        .request(invoke("fail", ""))
        .await
        .expect_err("an error");
    assert_eq!(failure.error, full_error());
    assert_eq!(failure.fate, Fate::Answered);
    for name in ["drop", "panic"] {
        let failure = link.request(invoke(name, "")).await.expect_err("an error");
        assert_eq!(failure.error.code, ErrorCode::Internal, "{name}");
    }
    echo(&link, "still there").await.expect("an answer");
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let (link, _served) = pair(&Config::default()).await;
    for size in [16_383, 16_384, 32_768, 65_537, 900_000] {
        let reply = echo(&link, large(size)).await.expect("an answer");
        assert!(reply.body == large(size), "{size}");
    }
    let failure = echo(&link, large(900_001)).await.expect_err("too large");
    assert_eq!(failure.error.code, ErrorCode::PayloadTooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_of_many_tasks_get_their_own_answers() {
    let (link, _served) = pair(&Config::default()).await;
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let link = link.clone();
            tokio::spawn(async move {
                for i in 0..157_u32 {
                    let body = format!("{task}:{i}:{}", "x".repeat((i as usize * 37) % 3000));
                    let name = if i % 3 == 0 { "later" } else { "echo" };
                    let reply = link.request(invoke(name, body.clone())).await;
                    assert_eq!(reply.expect("an answer").body, body);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("all right");
    }
}
