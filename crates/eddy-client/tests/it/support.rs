//! A node of which only its link exists: it listens, answers by the method's name, and can be
//! stopped and started at the same address.

use bytes::Bytes;
use eddy_client::{EddyError, ErrorCode};
use eddy_link::tls::TlsServer;
use eddy_link::{Config, Drain, Handler, Operation, Reply, Request, Responder};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) handled: AtomicUsize,
    /// The time that the last request had.
    pub(crate) timeout: Mutex<Option<Duration>>,
    /// Requests that are never answered; their connection goes first.
    pub(crate) kept: Mutex<Vec<Responder>>,
    /// Dropped connections before `flaky` answers.
    pub(crate) failures: AtomicUsize,
    pub(crate) connections: Mutex<Vec<(JoinHandle<()>, Drain)>>,
}

impl Handler for Answers {
    fn handle(&self, request: Request, responder: Responder) {
        self.handled.fetch_add(1, Ordering::SeqCst);
        *self.timeout.lock().expect("no panic") = request.timeout;
        let said = format!("{:?}", request.operation);
        let reply = |body: Bytes| Reply {
            invocation: Some([0xAB; 16]),
            body,
        };
        let name = match request.operation {
            Operation::Call { method, .. } => method,
            Operation::Invoke { function } | Operation::Submit { function } => function,
            Operation::Delete { .. } => "say".to_owned(),
        };
        match name.as_str() {
            "echo" => responder.finish(Ok(reply(request.body))),
            "say" => {
                let said = format!("\"{}\"", said.replace('"', "'"));
                responder.finish(Ok(reply(said.into())));
            }
            "nothing" => responder.finish(Ok(reply(Bytes::new()))),
            "fail" => responder.finish(Err(EddyError::new(ErrorCode::UnknownMethod, "no"))),
            "flaky" if self.failures.load(Ordering::SeqCst) == 0 => {
                responder.finish(Ok(reply(request.body)));
            }
            "flaky" => {
                self.failures.fetch_sub(1, Ordering::SeqCst);
                self.kept.lock().expect("no panic").push(responder);
                self.cut();
            }
            _ => self.kept.lock().expect("no panic").push(responder),
        }
    }
}

impl Answers {
    /// Ends all connections without a word.
    pub(crate) fn cut(&self) {
        for (task, _) in self.connections.lock().expect("no panic").drain(..) {
            task.abort();
        }
    }
}

pub(crate) struct Node {
    pub(crate) answers: Arc<Answers>,
    pub(crate) address: SocketAddr,
    listening: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), None).await
    }

    pub(crate) async fn start_at(address: SocketAddr, tls: Option<TlsServer>) -> Self {
        let listener = listen(address);
        let address = listener.local_addr().expect("bound");
        let answers = Arc::new(Answers::default());
        let listening = tokio::spawn(accept(listener, answers.clone(), tls));
        Self {
            answers,
            address,
            listening,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops as a killed process does.
    pub(crate) async fn kill(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
        self.answers.cut();
    }
}

/// The same port again, at once.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(address).expect("a free port");
    socket.listen(16).expect("a listener")
}

async fn accept(listener: TcpListener, answers: Arc<Answers>, tls: Option<TlsServer>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let transport = match &tls {
            None => stream.into(),
            Some(tls) => match tls.accept(stream).await {
                Ok(transport) => transport,
                Err(_) => continue,
            },
        };
        let (serving, drain) = eddy_link::serve(transport, answers.clone(), &Config::default());
        let task = tokio::spawn(async move {
            let _ = serving.await;
        });
        let mut connections = answers.connections.lock().expect("no panic");
        connections.push((task, drain));
    }
}
