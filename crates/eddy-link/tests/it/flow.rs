//! Windows, fairness and limits, with settings as small as they may be.

use crate::support::{at_once, echo, head, invoke, large, pair, raw_client};
use eddy_link::frame::{Kind, flags};
use eddy_link::message::{Ping, ResponseHead, Window};
use eddy_link::{Config, Fate, Reply, Settings};
use eddy_types::ErrorCode;
use prost::Message as _;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

fn tiny() -> Config {
    Config {
        settings: Settings::FLOOR,
        max_reassembly: 1 << 20,
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_large_bodies_share_tiny_windows() {
    let (link, _served) = pair(&tiny()).await;
    let tasks: Vec<_> = (0..40)
        .map(|i| {
            let link = link.clone();
            tokio::spawn(async move {
                let body = large(700_000 + i);
                let reply = echo(&link, body.clone()).await.expect("an answer");
                assert!(reply.body == body, "{i}");
                echo(&link, "small").await.expect("an answer");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("all right");
    }
}

#[tokio::test]
async fn a_small_answer_does_not_wait_for_a_large_one() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    // The large one is asked for first; its window is never refilled.
    raw.request(1, "large", b"").await;
    raw.request(2, "echo", b"small").await;
    let mut of_the_large = 0;
    loop {
        let frame = raw.next().await.expect("open");
        match (frame.stream, frame.kind) {
            (2, Some(Kind::Response)) => break assert_eq!(frame.body, "small"),
            (1, _) => of_the_large += frame.body.len(),
            _ => {}
        }
    }
    assert!(of_the_large <= Settings::FLOOR.stream_window as usize);
    // With credit the rest comes.
    let mut got = of_the_large;
    while got < 900_000 {
        for stream in [0, 1] {
            let window = Window { credit: 100_000 };
            raw.frame(Kind::Window.number(), 0, stream, &window, b"")
                .await;
        }
        for _ in 0..3 {
            got += raw.next().await.map_or(0, |frame| frame.body.len());
            if got == 900_000 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn credit_that_comes_before_the_answer_counts() {
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.greet().await;
    raw.request(1, "keep", b"").await;
    for stream in [0, 1] {
        let window = Window { credit: 900_000 };
        raw.frame(Kind::Window.number(), 0, stream, &window, b"")
            .await;
    }
    let ping = Ping { id: 1 };
    raw.frame(Kind::Ping.number(), 0, 0, &ping, b"").await;
    raw.next_of(Kind::Pong).await;
    let (_, responder) = served.probe.take().await;
    responder.finish(Ok(Reply {
        invocation: None,
        body: large(900_000),
    }));
    let mut got = raw.next_of(Kind::Response).await.body.len();
    while got < 900_000 {
        let frame = timeout(Duration::from_secs(5), raw.next()).await;
        let frame = frame.expect("all was granted");
        got += frame.expect("open").body.len();
    }
}

#[tokio::test]
async fn the_answer_to_a_small_request_is_one_frame() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    raw.next_of(Kind::Hello).await;
    for stream in 1..=20 {
        raw.request(stream, "echo", &[b'x'; 1024]).await;
        let frame = raw.next().await.expect("open");
        assert_eq!(frame.kind, Some(Kind::Response));
        assert!(frame.has(flags::END));
        let answer = ResponseHead::decode(frame.head).expect("a head");
        assert_eq!(answer.body_bytes, 0);
        assert_eq!(&answer.invocation[..], &[7; 16]);
    }
}

#[tokio::test]
async fn too_many_streams_are_refused_one_by_one() {
    let config = at_once(2);
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    for stream in 1..=3 {
        raw.request(stream, "keep", b"").await;
    }
    let refused = raw.next_of(Kind::Response).await;
    assert_eq!(refused.stream, 3);
    assert!(refused.has(flags::ERROR | flags::NOT_STARTED | flags::END));
    let (_, responder) = served.probe.take().await;
    responder.finish(Ok(Reply::default()));
    assert_eq!(raw.next_of(Kind::Response).await.stream, 1);
    raw.request(4, "echo", b"again").await;
    assert_eq!(raw.next_of(Kind::Response).await.body, "again");
}

#[tokio::test]
async fn a_client_keeps_to_the_streams_it_was_given() {
    let config = at_once(3);
    let (link, served) = pair(&config).await;
    link.greeted().await.expect("a server");
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.request(invoke("keep", "")).await })
        })
        .collect();
    for _ in 0..20 {
        let (_, responder) = served.probe.take().await;
        assert!(served.probe.kept.lock().len() <= 2);
        responder.finish(Ok(Reply::default()));
    }
    for task in tasks {
        task.await.expect("no panic").expect("an answer");
    }
}

#[tokio::test]
async fn a_declared_body_that_is_too_large_is_refused_before_it_comes() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    let mut first = head("echo");
    first.body_bytes = 900_001;
    raw.frame(Kind::Request.number(), 0, 1, &first, b"x").await;
    let refused = raw.next_of(Kind::Response).await;
    let error = eddy_link::message::ErrorBody::decode(refused.body).expect("an error");
    assert_eq!(error.code, "payload-too-large");
    // What still comes of it is ignored.
    raw.frame(Kind::Data.number(), flags::END, 1, &(), b"x")
        .await;
    raw.request(2, "echo", b"fine").await;
    assert_eq!(raw.next_of(Kind::Response).await.body, "fine");
}

#[tokio::test]
async fn who_does_not_read_gets_no_more_work_done() {
    let config = Config {
        max_buffered: 1 << 20,
        ..Config::default()
    };
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    // Without credit for answers, what is not sent stays with the server.
    for stream in 1..=20 {
        raw.request(stream, "large", b"").await;
        let frame = raw.next_of(Kind::Response).await;
        assert_eq!(frame.stream, stream);
        assert_eq!(frame.has(flags::NOT_STARTED), stream > 2, "{stream}");
    }
    assert_eq!(served.probe.handled.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_client_hears_that_it_was_refused() {
    let config = at_once(1);
    let (mut raw, _served) = raw_client(&config).await;
    raw.greet().await;
    drop(raw);
    let (link, mut raw, _task) = crate::support::raw_server(&Config::default()).await;
    raw.hello().await;
    let asked = tokio::spawn(async move { echo(&link, "x").await });
    let frame = raw.next_of(Kind::Request).await;
    let error = eddy_types::EddyError::new(ErrorCode::Overloaded, "full");
    let body = eddy_link::message::ErrorBody::from(&error).encode_to_vec();
    let flag = flags::END | flags::ERROR | flags::NOT_STARTED;
    let head = ResponseHead::default();
    raw.frame(Kind::Response.number(), flag, frame.stream, &head, &body)
        .await;
    let failure = asked.await.expect("no panic").expect_err("refused");
    assert_eq!(failure.error.code, ErrorCode::Overloaded);
    assert_eq!(failure.fate, Fate::NotStarted);
}
