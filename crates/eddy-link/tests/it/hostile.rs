//! Sides that break the rules, or are of another version.

use crate::support::{echo, head, invoke, raw_client, raw_server};
use eddy_link::frame::{Kind, flags};
use eddy_link::message::{ErrorBody, Hello, ResponseHead, Window};
use eddy_link::{Config, Fate, Settings};
use eddy_types::{EddyError, ErrorCode};
use prost::Message as _;
use std::time::Duration;

fn hello(lowest: u32, highest: u32) -> Hello {
    Hello {
        lowest,
        highest,
        ..Hello::new("test", Settings::FLOOR)
    }
}

#[tokio::test]
async fn no_common_version_is_said_by_the_server() {
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.bytes(eddy_link::PREFACE).await;
    raw.frame(Kind::Hello.number(), 0, 0, &hello(2, 3), b"")
        .await;
    raw.request(1, "echo", b"").await;
    let (reason, last) = raw.goaway().await;
    assert_eq!(reason.code, ErrorCode::UnsupportedVersion);
    assert_eq!(last, 0, "nothing was started");
    assert!(raw.next().await.is_none(), "and then it closes");
    drop(raw);
    let ended = served.task.await.expect("no panic").expect_err("an error");
    assert_eq!(ended.code, ErrorCode::UnsupportedVersion);
}

#[tokio::test]
async fn no_common_version_is_said_by_the_client() {
    let (link, mut raw, task) = raw_server(&Config::default()).await;
    let asked = tokio::spawn(async move { echo(&link, "x").await });
    raw.next_of(Kind::Request).await;
    raw.frame(Kind::Hello.number(), 0, 0, &hello(2, 2), b"")
        .await;
    let failure = asked.await.expect("no panic").expect_err("an error");
    assert_eq!(failure.error.code, ErrorCode::UnsupportedVersion);
    drop(raw);
    let ended = task.await.expect("no panic").expect_err("an error");
    assert_eq!(ended.code, ErrorCode::UnsupportedVersion);
}

#[tokio::test]
async fn a_newer_client_that_also_speaks_this_version_is_served() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.bytes(eddy_link::PREFACE).await;
    raw.frame(Kind::Hello.number(), 0, 0, &hello(1, 9), b"")
        .await;
    raw.request(1, "echo", b"hi").await;
    assert_eq!(raw.next_of(Kind::Response).await.body, "hi");
}

#[tokio::test]
async fn frames_that_may_be_ignored_are() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    raw.frame(77, flags::MAY_IGNORE, 5, &(), b"whatever").await;
    raw.request(1, "echo", b"hi").await;
    assert_eq!(raw.next_of(Kind::Response).await.body, "hi");
    raw.frame(77, 0, 5, &(), b"").await;
    assert_eq!(raw.goaway().await.0.code, ErrorCode::ProtocolError);
}

/// What a client may not send, after which the server says why and closes.
#[tokio::test]
async fn broken_rules_end_the_connection() {
    let data = (Kind::Data.number(), flags::END);
    let request = (Kind::Request.number(), 0);
    let whole = (Kind::Request.number(), flags::END);
    let too_long = vec![0; 40_000];
    type Broken<'a> = (&'a str, (u8, u8), u64, u64, &'a [u8]);
    let broken: [Broken; 8] = [
        ("a second HELLO", (Kind::Hello.number(), 0), 0, 0, b""),
        (
            "a RESPONSE",
            (Kind::Response.number(), flags::END),
            1,
            0,
            b"",
        ),
        ("an unknown kind", (200, 0), 1, 0, b""),
        ("no length", request, 2, 0, b"abc"),
        ("a length that came", request, 2, 3, b"abc"),
        ("stream 0", whole, 0, 0, b""),
        ("more than the stream's window", whole, 2, 0, &too_long),
        ("an end too early", data, 1, 0, b"1"),
    ];
    let config = Config {
        settings: Settings::FLOOR,
        ..Config::default()
    };
    for (name, (kind, flag), stream, length, body) in broken {
        let (mut raw, served) = raw_client(&config).await;
        raw.greet().await;
        let mut first = head("echo");
        first.body_bytes = 10;
        raw.frame(Kind::Request.number(), 0, 1, &first, b"a").await;
        let mut head = head("echo");
        head.body_bytes = length;
        let head = if kind == data.0 { head_of_data() } else { head };
        raw.frame(kind, flag, stream, &head, body).await;
        let (reason, _) = raw.goaway().await;
        assert_eq!(reason.code, ErrorCode::ProtocolError, "{name}: {reason}");
        drop(raw);
        let ended = served.task.await.expect("no panic").expect_err(name);
        assert_eq!(ended.code, ErrorCode::ProtocolError, "{name}");
    }
}

fn head_of_data() -> eddy_link::message::RequestHead {
    eddy_link::message::RequestHead::default()
}

#[tokio::test]
async fn more_than_the_windows_allow_ends_the_connection() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    let settings = Settings::default();
    let mut first = head("echo");
    first.body_bytes = 900_000;
    raw.frame(Kind::Request.number(), 0, 1, &first, b"").await;
    // The server gives credit as bytes come, so a second stream is held back beyond its budget.
    let piece = vec![0; 60_000];
    let config = Config {
        max_reassembly: 1,
        ..Config::default()
    };
    let (mut held, _other) = raw_client(&config).await;
    held.greet().await;
    for stream in [1, 2] {
        held.frame(Kind::Request.number(), 0, stream, &first, b"")
            .await;
    }
    for _ in 0..=settings.stream_window / 60_000 {
        held.frame(Kind::Data.number(), 0, 2, &(), &piece).await;
    }
    assert_eq!(held.goaway().await.0.code, ErrorCode::ProtocolError);
}

#[tokio::test]
async fn garbage_after_the_handshake_ends_the_connection() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    raw.bytes(&[0xA5; 4096]).await;
    assert_eq!(raw.goaway().await.0.code, ErrorCode::ProtocolError);
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.bytes(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(served.task.await.expect("no panic").is_err());
}

#[tokio::test]
async fn half_a_frame_and_then_the_end() {
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.greet().await;
    raw.request(1, "keep", b"").await;
    let (_request, responder) = served.probe.take().await;
    raw.bytes(&[9, 0, 0, 0, 2]).await;
    drop(raw);
    let ended = served.task.await.expect("no panic").expect_err("an error");
    assert_eq!(ended.code, ErrorCode::ConnectionLost);
    assert!(responder.is_cancelled());
    responder.finish(Ok(eddy_link::Reply::default()));
}

#[tokio::test]
async fn a_side_that_says_nothing_is_given_up() {
    let config = Config {
        hello_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let (raw, served) = raw_client(&config).await;
    let ended = served.task.await.expect("no panic").expect_err("an error");
    assert_eq!(ended.code, ErrorCode::ProtocolError);
    drop(raw);
    let (link, raw, _task) = raw_server(&config).await;
    let failure = echo(&link, "x").await.expect_err("an error");
    assert_eq!(failure.error.code, ErrorCode::ProtocolError);
    assert_eq!(failure.fate, Fate::Unknown);
    drop(raw);
}

#[tokio::test]
async fn silence_is_asked_about_and_then_ends_the_connection() {
    let config = Config {
        keepalive: Duration::from_millis(40),
        hello_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    raw.next_of(Kind::Ping).await;
    let ended = served.task.await.expect("no panic").expect_err("an error");
    assert_eq!(ended.code, ErrorCode::ConnectionLost);
}

#[tokio::test]
async fn an_error_of_a_newer_node_keeps_its_meaning() {
    let (link, mut raw, _task) = raw_server(&Config::default()).await;
    raw.hello().await;
    for (status, retryable, code) in [
        (503, true, ErrorCode::Overloaded),
        (404, false, ErrorCode::UnknownRoute),
        (422, false, ErrorCode::InvalidArgument),
        (500, false, ErrorCode::Internal),
    ] {
        let link = link.clone();
        let asked = tokio::spawn(async move { link.request(invoke("echo", "x")).await });
        let frame = raw.next_of(Kind::Request).await;
        let mut body = ErrorBody::from(&EddyError::new(ErrorCode::Internal, "why"));
        body.code = "from-the-future".to_owned();
        (body.status, body.retryable) = (status, retryable);
        let flags = flags::END | flags::ERROR;
        let head = ResponseHead::default();
        let body = body.encode_to_vec();
        raw.frame(Kind::Response.number(), flags, frame.stream, &head, &body)
            .await;
        let failure = asked.await.expect("no panic").expect_err("an error");
        assert_eq!(failure.error.code, code, "{status}");
        assert!(failure.error.detail.contains("from-the-future"));
    }
}

#[tokio::test]
async fn answers_nobody_asked_for_end_the_connection() {
    let (link, mut raw, task) = raw_server(&Config::default()).await;
    raw.hello().await;
    let head = ResponseHead::default();
    raw.frame(Kind::Response.number(), flags::END, 3, &head, b"")
        .await;
    assert_eq!(raw.goaway().await.0.code, ErrorCode::ProtocolError);
    drop(raw);
    assert!(task.await.expect("no panic").is_err());
    assert!(!link.is_open());
}

#[tokio::test]
async fn credit_without_end_is_refused() {
    let (mut raw, _served) = raw_client(&Config::default()).await;
    raw.greet().await;
    for _ in 0..3 {
        let window = Window { credit: u32::MAX };
        raw.frame(Kind::Window.number(), 0, 0, &window, b"").await;
    }
    assert_eq!(raw.goaway().await.0.code, ErrorCode::ProtocolError);
}
