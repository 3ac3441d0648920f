//! What happens before a connection has asked for anything, and what is refused before it begins.

use crate::wire::Running;
use bytes::Bytes;
use eddy_link::{Config, Fate, Operation, Request};
use eddy_types::ErrorCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn http2_is_understood_in_pieces() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.set_nodelay(true).expect("a socket");
    for piece in [
        &b"P"[..],
        b"RI * HT",
        b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        stream.write_all(piece).await.expect("it goes out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("a frame comes");
    assert_eq!(frame[3], 4, "the first frame is SETTINGS: {frame:?}");
}

#[tokio::test]
async fn who_says_nothing_does_not_hold_up_a_stop() {
    let mut server = Running::start().await;
    let mut silent = server.connect().await;
    // Taken, and waited for: a later connection was answered.
    assert_eq!(server.send("GET", "/healthz", "", "").await.status, 200);
    let stop = server.stop.take().expect("it runs");
    stop.send(()).expect("it listens for the stop");
    // Far less than the time that a client has for its first byte.
    let ended = tokio::time::timeout(Duration::from_secs(20), &mut server.task).await;
    ended.expect("it does not wait").expect("the server ends");
    let closed = silent.read(&mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[tokio::test]
async fn a_link_says_of_what_it_refuses_that_nothing_was_begun() {
    let server = Running::start().await;
    let (link, linking) = eddy_link::open(server.connect().await, &Config::default());
    let asking = async move {
        let function = "f".to_owned();
        let request = Request {
            tenant: Some("another".to_owned()),
            ..Request::new(Operation::Invoke { function }, Bytes::new())
        };
        let refused = link.request(request).await.expect_err("there is no tenant");
        assert_eq!(refused.error.code, ErrorCode::UnknownTenant);
        assert_eq!(refused.fate, Fate::NotStarted);
    };
    let (ended, ()) = tokio::join!(linking, asking);
    ended.expect("the link ends in order");
}
