//! How requests and connections end: cancelled, too late, drained, lost.

use crate::support::Raw;
use crate::support::{echo, invoke, large, pair, raw_client, raw_server, serve, sockets};
use eddy_link::frame::{Kind, flags};
use eddy_link::message::{ErrorBody, Goaway, Ping, Window};
use eddy_link::{Config, Fate, Reply, Transport};
use eddy_types::{EddyError, ErrorCode};
use socket2::SockRef;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

#[tokio::test]
async fn a_dropped_request_is_heard_by_its_handler() {
    let (link, served) = pair(&Config::default()).await;
    let asked = tokio::spawn({
        let link = link.clone();
        async move { link.request(invoke("keep", "")).await }
    });
    let (_, responder) = served.probe.take().await;
    assert!(!responder.is_cancelled());
    let waits = responder.cancelled();
    asked.abort();
    waits.await;
    assert!(responder.is_cancelled());
    let heard = served.probe.cancelled.acquire().await;
    heard.expect("never closed").forget();
    // Too late is at once.
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    responder.on_cancel(move || drop(sender));
    receiver.await.expect_err("called");
    responder.finish(Ok(Reply::default()));
    echo(&link, "next").await.expect("an answer");
}

#[tokio::test]
async fn a_half_sent_request_can_be_dropped() {
    let (link, mut raw, _task) = raw_server(&Config::default()).await;
    raw.hello().await;
    let asked = tokio::spawn({
        let link = link.clone();
        async move { echo(&link, large(800_000)).await }
    });
    let frame = raw.next_of(Kind::Request).await;
    asked.abort();
    assert_eq!(raw.next_of(Kind::Cancel).await.stream, frame.stream);
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_cancels() {
    let (link, served) = pair(&Config::default()).await;
    let mut request = invoke("keep", "");
    request.timeout = Some(Duration::from_millis(30));
    let failure = link.request(request).await.expect_err("too late");
    assert_eq!(failure.error.code, ErrorCode::DeadlineExceeded);
    assert_eq!(failure.fate, Fate::Unknown);
    let heard = served.probe.cancelled.acquire().await;
    heard.expect("never closed").forget();
    let (request, _responder) = served.probe.take().await;
    assert_eq!(request.timeout, Some(Duration::from_millis(30)));
}

#[tokio::test]
async fn a_drain_answers_what_was_accepted() {
    let (link, served) = pair(&Config::default()).await;
    let asked = tokio::spawn({
        let link = link.clone();
        async move { link.request(invoke("keep", "")).await }
    });
    let (_, responder) = served.probe.take().await;
    served.drain.start();
    while link.is_open() {
        tokio::task::yield_now().await;
    }
    let failure = echo(&link, "x").await.expect_err("no new requests");
    assert_eq!(failure.error.code, ErrorCode::ShuttingDown);
    assert_eq!(failure.fate, Fate::NotStarted);
    assert!(!served.task.is_finished());
    responder.finish(Ok(Reply {
        invocation: None,
        body: large(900_000),
    }));
    let reply = asked.await.expect("no panic").expect("an answer");
    assert!(reply.body == large(900_000));
    served.drain.finish().await;
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn a_goaway_gives_back_what_was_not_started() {
    let (link, mut raw, _task) = raw_server(&Config::default()).await;
    raw.hello().await;
    let ask = |link: eddy_link::Link| tokio::spawn(async move { echo(&link, "x").await });
    let first = ask(link.clone());
    assert_eq!(raw.next_of(Kind::Request).await.stream, 1);
    let second = ask(link);
    assert_eq!(raw.next_of(Kind::Request).await.stream, 2);
    let reason = EddyError::new(ErrorCode::ShuttingDown, "bye");
    let goaway = Goaway {
        last_stream: 1,
        reason: Some(ErrorBody::from(&reason)),
    };
    raw.frame(Kind::Goaway.number(), 0, 0, &goaway, b"").await;
    let failure = second.await.expect("no panic").expect_err("refused");
    assert_eq!(failure.fate, Fate::NotStarted);
    drop(raw);
    let failure = first.await.expect("no panic").expect_err("lost");
    assert_eq!(failure.error.code, ErrorCode::ConnectionLost);
    assert_eq!(failure.fate, Fate::Unknown);
}

#[tokio::test]
async fn a_lost_connection_is_told_to_both_sides() {
    let (link, served) = pair(&Config::default()).await;
    let asked = tokio::spawn({
        let link = link.clone();
        async move { link.request(invoke("keep", "")).await }
    });
    let (_, responder) = served.probe.take().await;
    served.task.abort();
    let failure = asked.await.expect("no panic").expect_err("lost");
    assert_eq!(failure.error.code, ErrorCode::ConnectionLost);
    assert_eq!(failure.fate, Fate::Unknown);
    assert!(responder.is_cancelled());
    let failure = echo(&link, "x").await.expect_err("lost");
    assert_eq!(failure.fate, Fate::NotStarted);
}

#[tokio::test]
async fn the_connection_ends_with_its_last_user() {
    let (link, served) = pair(&Config::default()).await;
    echo(&link, "x").await.expect("an answer");
    drop(link);
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn drains_of_idle_connections_end_at_once() {
    let (mut raw, served) = raw_client(&Config::default()).await;
    raw.greet().await;
    served.drain.start();
    assert_eq!(raw.goaway().await.0.code, ErrorCode::ShuttingDown);
    assert!(raw.next().await.is_none());
    drop(raw);
    served.task.await.expect("no panic").expect("in order");
}

/// Two ends of a connection of which one takes little at a time, and the other one may send much.
async fn a_slow_reader() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let client = TcpSocket::new_v4().expect("a socket");
    client.set_recv_buffer_size(8 << 10).expect("an option");
    let (client, server) = tokio::join!(client.connect(address), listener.accept());
    let (client, server) = (client.expect("connected"), server.expect("accepted").0);
    let size = SockRef::from(&server).set_send_buffer_size(1 << 20);
    size.expect("an option");
    (client, server)
}

#[tokio::test]
async fn a_drained_connection_waits_for_who_still_reads() {
    let (client, server) = a_slow_reader().await;
    let served = serve(server, &Config::default());
    let mut raw = Raw::new(client);
    raw.greet().await;
    let window = Window { credit: 1 << 20 };
    raw.request(1, "keep", b"").await;
    let (_, responder) = served.probe.take().await;
    raw.frame(Kind::Window.number(), 0, 0, &window, b"").await;
    served.drain.start();
    responder.finish(Ok(Reply {
        invocation: None,
        body: large(200_000),
    }));
    raw.next_of(Kind::Response).await;
    raw.frame(Kind::Window.number(), 0, 1, &window, b"").await;
    // The rest is on its way; what is said meanwhile must not cost it.
    sleep(Duration::from_millis(1500)).await;
    raw.frame(Kind::Ping.number(), 0, 0, &Ping { id: 1 }, b"")
        .await;
    sleep(Duration::from_millis(100)).await;
    while !raw.next_of(Kind::Data).await.has(flags::END) {}
    assert!(raw.next().await.is_none());
    drop(raw);
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_streams_than_tcp_do() {
    let config = Config::default();
    let (client, server) = tokio::io::duplex(4096);
    let _served = serve(Transport::other(server), &config);
    let (link, linking) = eddy_link::open(Transport::other(client), &config);
    tokio::spawn(linking);
    let reply = echo(&link, large(300_000)).await.expect("an answer");
    assert!(reply.body == large(300_000));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move {
                for i in 0..100 {
                    let reply = link.request(invoke("later", format!("{i}"))).await;
                    assert_eq!(reply.expect("an answer").body, format!("{i}"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("all right");
    }
    let (client, _server) = sockets().await;
    drop(eddy_link::open(client, &config));
}
