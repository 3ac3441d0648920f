//! A server with a handler that does what the name of the method says, and its client.

use bytes::Bytes;
use eddy_link::{
    Config, Drain, Failure, Handler, Link, Operation, Reply, Request, Responder, Transport,
};
use eddy_types::{EddyError, ErrorCode, GuestFailure};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
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
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            handled: AtomicUsize::new(0),
            cancelled: Arc::new(tokio::sync::Semaphore::new(0)),
            arrived: tokio::sync::Semaphore::new(0),
        })
    }

    /// Waits for the next kept request and takes it.
    pub(crate) async fn take(&self) -> (Request, Responder) {
        self.arrived.acquire().await.expect("never closed").forget();
        self.kept.lock().remove(0)
    }
}

impl Handler for Probe {
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
