//! What one client can make a node hold, do and wait for.

use crate::support::{Raw, at_once, echo, head, invoke, large, pair, raw_client};
use eddy_link::frame::{Frame, Kind, flags};
use eddy_link::message::{ErrorBody, Goaway, Ping, RequestHead, Window};
use eddy_link::{Config, Fate, Reply, Settings};
use eddy_types::{EddyError, ErrorCode};
use prost::Message as _;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(5);

/// Looks at streams every 20 ms.
fn quick() -> Config {
    Config {
        keepalive: Duration::from_millis(40),
        hello_timeout: Duration::from_millis(20),
        ..Config::default()
    }
}

/// The first frame of a request that declares `total` bytes.
async fn begin(raw: &mut Raw, stream: u64, total: u64, body: &[u8]) {
    let mut head = head("echo");
    head.body_bytes = total;
    raw.frame(Kind::Request.number(), 0, stream, &head, body)
        .await;
}

async fn more(raw: &mut Raw, stream: u64, body: &[u8]) {
    raw.frame(Kind::Data.number(), 0, stream, &(), body).await;
}

/// The error with which a request was refused before it began.
fn refusal(frame: Frame) -> EddyError {
    assert!(frame.has(flags::ERROR | flags::NOT_STARTED | flags::END));
    ErrorBody::decode(frame.body).expect("an error").into()
}

#[tokio::test]
async fn answers_that_nobody_reads_end_the_connection() {
    let config = Config {
        max_buffered: 1 << 20,
        ..Config::default()
    };
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    let mut kept = Vec::new();
    for stream in 1..=101 {
        raw.request(stream, "keep", b"").await;
        kept.push(served.probe.take().await.1);
    }
    let last = kept.pop().expect("one more");
    let body = large(900_000);
    for responder in kept {
        let body = body.clone();
        responder.finish(Ok(Reply {
            invocation: None,
            body,
        }));
    }
    let ended = timeout(SOON, served.task).await.expect("it ends");
    let error = ended.expect("no panic").expect_err("not in order");
    assert_eq!(error.code, ErrorCode::ConnectionLost);
    assert!(last.is_cancelled());
}

#[tokio::test]
async fn a_stream_held_back_must_use_the_window_it_has() {
    let config = Config {
        max_reassembly: 1,
        ..quick()
    };
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    begin(&mut raw, 1, 900_000, b"x").await;
    begin(&mut raw, 2, 900_000, b"x").await;
    // The first one goes on, the second one says nothing.
    let refused = async {
        loop {
            tokio::select! {
                frame = raw.next_of(Kind::Response) => return frame,
                () = sleep(Duration::from_millis(5)) => {}
            }
            more(&mut raw, 1, b"x").await;
        }
    };
    let refused = timeout(SOON, refused).await.expect("it is refused");
    assert_eq!(refused.stream, 2);
    assert_eq!(refusal(refused).code, ErrorCode::InvalidArgument);
    // Nor does either keep a drain from its end.
    begin(&mut raw, 3, 900_000, b"x").await;
    served.drain.start();
    while timeout(SOON, raw.next()).await.expect("it ends").is_some() {}
}

#[tokio::test]
async fn a_stream_that_waits_for_credit_is_not_to_blame() {
    let config = Config {
        settings: Settings::FLOOR,
        max_reassembly: 1,
        ..quick()
    };
    let (mut raw, _served) = raw_client(&config).await;
    raw.greet().await;
    begin(&mut raw, 1, 40_000, b"").await;
    begin(&mut raw, 2, 40_000, &[b'x'; 16_000]).await;
    more(&mut raw, 2, &[b'x'; 16_768]).await;
    for _ in 0..40 {
        more(&mut raw, 1, b"x").await;
        sleep(Duration::from_millis(5)).await;
    }
    raw.frame(Kind::Cancel.number(), 0, 1, &(), b"").await;
    let credit = raw.next_of(Kind::Window).await;
    assert_eq!(credit.stream, 2);
    raw.frame(Kind::Data.number(), flags::END, 2, &(), &[b'x'; 7232])
        .await;
    let answer = raw.next_of(Kind::Response).await;
    assert_eq!((answer.stream, answer.has(flags::ERROR)), (2, false));
}

#[tokio::test]
async fn refusals_that_nobody_takes_end_the_connection() {
    let config = at_once(1);
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    // No credit is given for answers, so after some of them refusals wait.
    let goaway = async {
        for stream in 1..=10_000 {
            raw.request(stream, "keep", b"").await;
            if stream % 100 != 0 {
                continue;
            }
            let ping = Ping { id: stream };
            raw.frame(Kind::Ping.number(), 0, 0, &ping, b"").await;
            loop {
                let frame = raw.next().await.expect("a GOAWAY before the end");
                match frame.kind {
                    Some(Kind::Goaway) => return Goaway::decode(frame.head).expect("a head"),
                    Some(Kind::Pong) => break,
                    _ => {}
                }
            }
        }
        panic!("all were refused, and it goes on");
    };
    let goaway = timeout(SOON, goaway).await.expect("a GOAWAY");
    let reason = goaway.reason.expect("a reason");
    assert_eq!(reason.code, "protocol-error");
    assert_eq!(served.probe.kept.lock().len(), 1);
}

#[tokio::test]
async fn cancelling_costs_the_same_however_much_waits() {
    let config = Config {
        max_buffered: 1 << 30,
        ..at_once(1 << 20)
    };
    let (mut raw, _served) = raw_client(&config).await;
    raw.greet().await;
    let unknown = RequestHead::default();
    for stream in 1..=60_000 {
        raw.frame(Kind::Request.number(), flags::END, stream, &unknown, b"")
            .await;
    }
    for stream in (1..=60_000).rev() {
        raw.frame(Kind::Cancel.number(), 0, stream, &(), b"").await;
    }
    raw.frame(Kind::Ping.number(), 0, 0, &Ping { id: 9 }, b"")
        .await;
    let pong = timeout(SOON, raw.next_of(Kind::Pong));
    pong.await.expect("cancelling takes no time");
}

#[tokio::test]
async fn a_body_that_trickles_is_refused() {
    let config = Config {
        body_timeout: Duration::from_millis(100),
        ..quick()
    };
    let (mut raw, served) = raw_client(&config).await;
    raw.greet().await;
    // One is held back and has window left, the other one is not.
    begin(&mut raw, 1, 900_000, b"x").await;
    begin(&mut raw, 2, 900_000, b"x").await;
    for _ in 0..2 {
        let refused = async {
            loop {
                tokio::select! {
                    frame = raw.next_of(Kind::Response) => return frame,
                    () = sleep(Duration::from_millis(5)) => {}
                }
                more(&mut raw, 1, b"x").await;
                more(&mut raw, 2, b"x").await;
            }
        };
        let refused = timeout(SOON, refused).await.expect("it is refused");
        assert_eq!(refusal(refused).code, ErrorCode::InvalidArgument);
    }
    assert_eq!(served.probe.room.available_permits(), 1 << 20);
}

#[tokio::test]
async fn bodies_take_up_room_until_they_are_answered() {
    let (link, served) = pair(&Config::default()).await;
    let free = || served.probe.room.available_permits();
    let all = free();
    let ask = |body| {
        let link = link.clone();
        tokio::spawn(async move { link.request(invoke("keep", body)).await })
    };
    // In one frame, and in several; small ones need none.
    for (size, units) in [(16_384, 0), (16_385, 17), (900_000, 879)] {
        let asked = ask(large(size));
        let (request, responder) = served.probe.take().await;
        // Those that came in pieces count with their heads.
        assert!((units..=units + 1).contains(&(all - free())), "{size}");
        asked.abort();
        responder.cancelled().await;
        assert!(all - free() >= units, "its handler still has it");
        drop((request, responder));
        assert_eq!(all - free(), 0, "{size}");
    }
}

#[tokio::test]
async fn without_room_a_body_is_refused_before_it_begins() {
    let (link, served) = pair(&Config::default()).await;
    let room = served.probe.room.clone();
    room.forget_permits((1 << 20) - 100);
    for size in [103_000, 60_000, 16_384] {
        let hog = room
            .clone()
            .try_acquire_many_owned(if size == 60_000 { 50 } else { 0 });
        let result = echo(&link, large(size)).await;
        drop(hog);
        if size == 16_384 {
            result.expect("small ones need no room");
            continue;
        }
        let failure = result.expect_err("no room");
        assert_eq!(failure.error.code, ErrorCode::Overloaded, "{size}");
        assert_eq!(failure.fate, Fate::NotStarted, "{size}");
    }
    assert_eq!(served.probe.handled.load(Ordering::Relaxed), 1);
    assert_eq!(room.available_permits(), 100);
}

#[tokio::test]
async fn half_a_request_takes_up_room_however_small() {
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.greet().await;
    let room = served.probe.room.clone();
    room.forget_permits((1 << 20) - 3);
    for stream in 1..=4 {
        begin(&mut raw, stream, 10, b"").await;
    }
    let refused = raw.next_of(Kind::Response).await;
    assert_eq!(refused.stream, 4);
    assert_eq!(refusal(refused).code, ErrorCode::Overloaded);
    // Whole, answered, cancelled, or with its connection: it is free again.
    raw.frame(Kind::Data.number(), flags::END, 1, &(), &[b'x'; 10])
        .await;
    assert!(!raw.next_of(Kind::Response).await.has(flags::ERROR));
    assert_eq!(room.available_permits(), 1);
    raw.frame(Kind::Cancel.number(), 0, 2, &(), b"").await;
    raw.request(5, "keep", b"").await;
    let (_request, _responder) = served.probe.take().await;
    assert_eq!(room.available_permits(), 2);
    drop(raw);
    let _ = served.task.await.expect("no panic");
    assert_eq!(room.available_permits(), 3);
}

#[tokio::test]
async fn a_handler_can_say_that_nothing_was_begun() {
    let (link, _served) = pair(&Config::default()).await;
    let failure = link.request(invoke("full", "")).await.expect_err("full");
    assert_eq!(failure.error.code, ErrorCode::Overloaded);
    assert_eq!(failure.fate, Fate::NotStarted);
}

#[tokio::test]
async fn time_spent_on_a_body_counts() {
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.greet().await;
    for (stream, timeout_ms) in [(1, 50), (2, 10_000)] {
        let mut head = head("keep");
        (head.body_bytes, head.timeout_ms) = (5, timeout_ms);
        raw.frame(Kind::Request.number(), 0, stream, &head, b"he")
            .await;
    }
    // Time counts from when the server sees them.
    raw.frame(Kind::Ping.number(), 0, 0, &Ping { id: 1 }, b"")
        .await;
    raw.next_of(Kind::Pong).await;
    sleep(Duration::from_millis(100)).await;
    for stream in [1, 2] {
        raw.frame(Kind::Data.number(), flags::END, stream, &(), b"llo")
            .await;
    }
    let refused = raw.next_of(Kind::Response).await;
    assert_eq!(refused.stream, 1);
    assert_eq!(refusal(refused).code, ErrorCode::DeadlineExceeded);
    let (request, _responder) = served.probe.take().await;
    let left = request.timeout.expect("a time-out");
    assert!(left <= Duration::from_millis(9_900), "{left:?}");
    assert!(left > Duration::from_secs(5), "{left:?}");
}

#[tokio::test]
async fn a_request_is_open_until_its_answer_is_out() {
    let config = at_once(1);
    let (mut raw, _served) = raw_client(&config).await;
    raw.greet().await;
    raw.request(1, "large", b"").await;
    raw.next_of(Kind::Response).await;
    raw.request(2, "echo", b"").await;
    let refused = raw.next_of(Kind::Response).await;
    assert_eq!(refused.stream, 2);
    assert_eq!(refusal(refused).code, ErrorCode::Overloaded);
    let window = Window { credit: 1 << 20 };
    for stream in [0, 1] {
        raw.frame(Kind::Window.number(), 0, stream, &window, b"")
            .await;
    }
    while !raw.next_of(Kind::Data).await.has(flags::END) {}
    raw.request(3, "echo", b"").await;
    assert!(!raw.next_of(Kind::Response).await.has(flags::ERROR));
}
