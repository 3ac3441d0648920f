//! A server with a handler that does what the name of the method says, and its client.

use bytes::{Bytes, BytesMut};
use eddy_link::frame::{Decoder, Frame, Header, Kind, flags};
use eddy_link::message::{Hello, OperationKind, RequestHead};
use eddy_link::{
    Config, Drain, Failure, Handler, Link, Operation, Reply, Request, Responder, Room, Transport,
};
use eddy_link::{PREFACE, Settings};
use eddy_types::{EddyError, ErrorCode, GuestFailure};
use parking_lot::Mutex;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Answers by the name of the function.
pub(crate) struct Probe {
    /// Requests that asked to be kept.
    pub(crate) kept: Mutex<Vec<(Request, Responder)>>,
    /// Requests handled.
    pub(crate) handled: AtomicUsize,
    /// Cancels heard.
    pub(crate) cancelled: Arc<tokio::sync::Semaphore>,
    /// One permit for each kept request.
    pub(crate) arrived: tokio::sync::Semaphore,
    /// Room for bodies, in KiB.
    pub(crate) room: Arc<tokio::sync::Semaphore>,
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            handled: AtomicUsize::new(0),
            cancelled: Arc::new(tokio::sync::Semaphore::new(0)),
            arrived: tokio::sync::Semaphore::new(0),
            room: Arc::new(tokio::sync::Semaphore::new(1 << 20)),
        })
    }

    /// Waits for the next kept request and takes it.
    pub(crate) async fn take(&self) -> (Request, Responder) {
        self.arrived.acquire().await.expect("never closed").forget();
        self.kept.lock().remove(0)
    }
}

impl Handler for Probe {
    fn reserve(&self, bytes: usize) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(1024)).ok()?;
        let permit = self.room.clone().try_acquire_many_owned(units);
        permit.ok().map(Room::new)
    }

    fn handle(&self, request: Request, responder: Responder) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        let name = match &request.operation {
            Operation::Call { method, .. } => method.clone(),
            Operation::Invoke { function } | Operation::Submit { function } => function.clone(),
            Operation::Delete { .. } => "delete".to_owned(),
        };
        match name.as_str() {
            "echo" => responder.finish(Ok(Reply {
                invocation: Some([7; 16]),
                body: request.body,
            })),
            "later" => {
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    responder.finish(Ok(Reply {
                        invocation: None,
                        body: request.body,
                    }));
                });
            }
            "large" => responder.finish(Ok(Reply {
                invocation: None,
                body: large(900_000),
            })),
            "full" => responder.refuse(&EddyError::new(ErrorCode::Overloaded, "full")),
            "fail" => responder.finish(Err(full_error())),
            "drop" => drop(responder),
            "panic" => panic!("the handler panics on purpose"),
            _ => {
                let heard = self.cancelled.clone();
                responder.on_cancel(move || heard.add_permits(1));
                self.kept.lock().push((request, responder));
                self.arrived.add_permits(1);
            }
        }
    }
}

/// An error with everything that an error can have.
pub(crate) fn full_error() -> EddyError {
    EddyError::new(ErrorCode::GuestError, "out of stock")
        .hint("Order less.")
        .retry_after(Duration::from_millis(1500))
        .guest(GuestFailure {
            name: "out-of-stock".to_owned(),
            stack: Some("at cart.ts:7".to_owned()),
            status: Some(409),
            details: Some("{\"left\":3}".to_owned()),
        })
}

/// Bytes that show when a piece is missing or in another place.
pub(crate) fn large(size: usize) -> Bytes {
    (0..size)
        .map(|i| (i % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

pub(crate) fn invoke(function: &str, body: impl Into<Bytes>) -> Request {
    let function = function.to_owned();
    Request::new(Operation::Invoke { function }, body.into())
}

/// Two ends of a TCP connection over loopback.
pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("connected"), server.expect("accepted").0)
}

/// A running server of one connection.
pub(crate) struct Served {
    pub(crate) probe: Arc<Probe>,
    pub(crate) drain: Drain,
    pub(crate) task: JoinHandle<Result<(), EddyError>>,
}

pub(crate) fn serve(transport: impl Into<Transport>, config: &Config) -> Served {
    let probe = Probe::new();
    let (serving, drain) = eddy_link::serve(transport, probe.clone(), config);
    Served {
        probe,
        drain,
        task: tokio::spawn(serving),
    }
}

/// Takes so many requests of a connection at once.
pub(crate) fn at_once(max_streams: u32) -> Config {
    Config {
        settings: Settings {
            max_streams,
            ..Settings::default()
        },
        ..Config::default()
    }
}

/// A client and a server, connected.
pub(crate) async fn pair(config: &Config) -> (Link, Served) {
    let (client, server) = sockets().await;
    let served = serve(server, config);
    let (link, linking) = eddy_link::open(client, config);
    tokio::spawn(linking);
    (link, served)
}

/// The answer to a request whose body is the answer.
pub(crate) async fn echo(link: &Link, body: impl Into<Bytes>) -> Result<Reply, Failure> {
    link.request(invoke("echo", body)).await
}

/// One side that is written by hand.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    read: BytesMut,
}

impl Raw {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // One small write after another must not wait for the other side's system.
        stream.set_nodelay(true).expect("an option");
        let read = BytesMut::new();
        Self { stream, read }
    }

    /// A frame with a message as its head.
    pub(crate) async fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u64,
        head: &impl Message,
        body: &[u8],
    ) {
        let head = head.encode_to_vec();
        let mut out = BytesMut::new();
        let header = Header {
            length: (head.len() + body.len()) as u32,
            kind,
            flags,
            head: head.len() as u16,
            stream,
        };
        header.put(&mut out);
        out.extend_from_slice(&head);
        out.extend_from_slice(body);
        self.bytes(&out).await;
    }

    /// Bytes as they are. That the other side closed is no failure.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The preface and a HELLO.
    pub(crate) async fn greet(&mut self) {
        self.bytes(PREFACE).await;
        self.hello().await;
    }

    /// A HELLO with settings at the floor.
    pub(crate) async fn hello(&mut self) {
        let hello = Hello::new("test", Settings::FLOOR);
        self.frame(Kind::Hello.number(), 0, 0, &hello, b"").await;
    }

    /// A REQUEST of the function `name` in one frame.
    pub(crate) async fn request(&mut self, stream: u64, name: &str, body: &[u8]) {
        let head = head(name);
        self.frame(Kind::Request.number(), flags::END, stream, &head, body)
            .await;
    }

    /// The next frame; none when the other side closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let decoder = Decoder::new(1 << 24);
            if let Some(frame) = decoder.decode(&mut self.read).expect("good frames") {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame of `kind`.
    pub(crate) async fn next_of(&mut self, kind: Kind) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.kind == Some(kind) {
                return frame;
            }
        }
    }

    /// The reason in the GOAWAY that ends the connection, and the last stream.
    pub(crate) async fn goaway(&mut self) -> (EddyError, u64) {
        let frame = self.next_of(Kind::Goaway).await;
        let goaway = eddy_link::message::Goaway::decode(frame.head).expect("a GOAWAY");
        let reason = goaway.reason.expect("a reason");
        (reason.into(), goaway.last_stream)
    }
}

pub(crate) fn head(name: &str) -> RequestHead {
    RequestHead {
        operation: OperationKind::InvokeFunction as i32,
        name: name.to_owned(),
        ..RequestHead::default()
    }
}

/// A server, and a client written by hand.
pub(crate) async fn raw_client(config: &Config) -> (Raw, Served) {
    let (client, server) = sockets().await;
    (Raw::new(client), serve(server, config))
}

/// A client, and a server written by hand.
pub(crate) async fn raw_server(config: &Config) -> (Link, Raw, JoinHandle<Result<(), EddyError>>) {
    let (client, server) = sockets().await;
    let (link, linking) = eddy_link::open(client, config);
    let mut raw = Raw::new(server);
    let task = tokio::spawn(linking);
    let mut preface = [0; PREFACE.len()];
    raw.stream
        .read_exact(&mut preface)
        .await
        .expect("a preface");
    assert_eq!(&preface, PREFACE);
    (link, raw, task)
}
