//! A server on a free port, and requests as bytes: what goes over the wire is what is tested.

use eddy_node::{Node, NodeConfig};
use eddy_server::{Server, TlsServer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A node with its server; stopped when the test ends.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) node: Arc<Node>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
    data: TempDir,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<TlsServer>) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        // Each instance reserves address space, and tests run side by side.
        Self::start_over(data, 4, tls).await
    }

    /// Ends the node, and starts another one over its folder.
    pub(crate) async fn restart(mut self) -> Self {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let stopped = self.node.shutdown(std::time::Duration::ZERO).await;
        stopped.expect("the node stops");
        self.task.await.expect("the server ends");
        drop(self.node);
        let max_instances = 64;
        Self::start_over(self.data, max_instances, None).await
    }

    pub(crate) async fn start_over(
        data: TempDir,
        max_instances: u32,
        tls: Option<TlsServer>,
    ) -> Self {
        let config = NodeConfig {
            max_instances,
            // Each node has a new data folder, and most need the same code.
            code_cache: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")),
            ..NodeConfig::new(data.path())
        };
        let node = Node::start(config).await.expect("the node starts");
        let any = "127.0.0.1:0".parse().expect("an address");
        let server = Server::bind(any, node.clone(), false)
            .await
            .expect("a free port");
        let server = match tls {
            None => server,
            Some(tls) => server.secured(tls),
        };
        let address = server.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel::<()>();
        #[allow(clippy::disallowed_methods, reason = "a test's own task")]
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            node,
            stop: Some(stop),
            task,
            data,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("the server listens")
    }

    /// Sends `request` on its own connection and reads the answer to its end.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        stream
            .write_all(request)
            .await
            .expect("the request goes out");
        Answer::read(&mut stream).await
    }

    /// A request with headers and a body of known length, closing after the answer.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .await
            .expect("the answer comes whole");
        let text = String::from_utf8(bytes).expect("answers are UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let head = head.to_ascii_lowercase();
        let body = match head.contains("transfer-encoding: chunked") {
            true => joined(body),
            false => body.to_owned(),
        };
        Self {
            status: status.expect("a status"),
            head,
            body,
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// The code of a problem document; checks that it is one.
    pub(crate) fn code(&self) -> String {
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem["code"].as_str().expect("a code").to_owned()
    }
}

/// A body that came in chunks.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        body += &rest[..length];
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    body
}
