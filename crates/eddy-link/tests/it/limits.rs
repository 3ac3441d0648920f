//! What a client keeps to while it waits: its permits, its time, its wakers.

use crate::support::{Raw, echo, invoke, raw_server};
use eddy_link::frame::{Frame, Kind, flags};
use eddy_link::message::{Hello, RequestHead, ResponseHead};
use eddy_link::{Config, Link, Settings};
use prost::Message as _;
use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A HELLO of a server that takes so many requests at once.
async fn takes(raw: &mut Raw, max_streams: u32) {
    let settings = Settings {
        max_streams,
        ..Settings::FLOOR
    };
    let hello = Hello::new("test", settings);
    raw.frame(Kind::Hello.number(), 0, 0, &hello, b"").await;
}

fn ask(link: &Link) -> JoinHandle<()> {
    let link = link.clone();
    tokio::spawn(async move {
        echo(&link, "x").await.expect("an answer");
    })
}

async fn answer(raw: &mut Raw, stream: u64) {
    let (kind, head) = (Kind::Response.number(), ResponseHead::default());
    raw.frame(kind, flags::END, stream, &head, b"x").await;
}

/// Requests that come within a moment.
async fn requests(raw: &mut Raw) -> Vec<Frame> {
    let mut came = Vec::new();
    let moment = Duration::from_millis(100);
    while let Ok(frame) = timeout(moment, raw.next_of(Kind::Request)).await {
        came.push(frame);
    }
    came
}

#[tokio::test]
async fn a_smaller_limit_holds_once_what_is_open_has_ended() {
    let (link, mut raw, _task) = raw_server(&Config::default()).await;
    // All that the floor allows, before the server said that it takes two.
    let first: Vec<_> = (0..128).map(|_| ask(&link)).collect();
    let open = requests(&mut raw).await;
    assert_eq!(open.len(), 128);
    takes(&mut raw, 2).await;
    link.greeted().await.expect("a server");
    for frame in open {
        answer(&mut raw, frame.stream).await;
    }
    for task in first {
        task.await.expect("an answer");
    }
    let _second: Vec<_> = (0..10).map(|_| ask(&link)).collect();
    let open = requests(&mut raw).await;
    assert_eq!(open.len(), 2);
    answer(&mut raw, open[0].stream).await;
    assert_eq!(requests(&mut raw).await.len(), 1);
}

#[tokio::test]
async fn waiting_for_a_turn_counts() {
    let (link, mut raw, _task) = raw_server(&Config::default()).await;
    takes(&mut raw, 1).await;
    link.greeted().await.expect("a server");
    let _first = ask(&link);
    let first = raw.next_of(Kind::Request).await;
    let mut request = invoke("echo", "x");
    request.timeout = Some(Duration::from_secs(20));
    let asked = link.clone();
    let _second = tokio::spawn(async move { asked.request(request).await });
    sleep(Duration::from_millis(200)).await;
    answer(&mut raw, first.stream).await;
    let second = raw.next_of(Kind::Request).await;
    let head = RequestHead::decode(second.head).expect("a head");
    assert!(head.timeout_ms <= 19_800, "{}", head.timeout_ms);
    assert!(head.timeout_ms > 10_000, "{}", head.timeout_ms);
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn one_waiter_is_kept_once() {
    let (link, _raw, _task) = raw_server(&Config::default()).await;
    let nobody = Arc::new(Nobody);
    let waker = Waker::from(nobody.clone());
    let mut greeted = pin!(link.greeted());
    for _ in 0..100 {
        let poll = greeted.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
    }
    assert!(Arc::strong_count(&nobody) <= 3);
}
