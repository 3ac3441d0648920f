//! One keep-alive HTTP/1.1 connection, as thin as a client can be. Eddy and every peer that speaks
//! HTTP are measured with it.

use crate::load::Caller;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A connection. One request at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    token: Option<String>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            token: None,
        })
    }

    /// Shows a token with every request.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A POST that must succeed; answers with the body.
    pub(crate) async fn post(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        let (status, answer) = self.send(Method::POST, path, None, body).await?;
        succeeded(path, status, answer)
    }

    /// A GET that must succeed; answers with the body.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes> {
        let (status, answer) = self.send(Method::GET, path, None, Bytes::new()).await?;
        succeeded(path, status, answer)
    }

    /// A request, with the header `Eddy-Timeout` if there is one; answers with whatever came.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        timeout: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        if let Some(timeout) = timeout {
            request = request.header("eddy-timeout", timeout);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        let response = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        let status = response.status();
        let body = response.into_body().collect().await;
        Ok((status, body.context("reading an answer")?.to_bytes()))
    }
}

fn succeeded(path: &str, status: StatusCode, body: Bytes) -> Result<Bytes> {
    if !status.is_success() {
        bail!("{path}: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(body)
}

/// A caller that posts the same again and again on a connection of its own.
pub(crate) struct Posts {
    connection: Connection,
    path: String,
    body: Bytes,
}

impl Posts {
    pub(crate) async fn open(address: SocketAddr, path: String, body: Bytes) -> Result<Self> {
        Ok(Self::over(Connection::open(address).await?, path, body))
    }

    pub(crate) fn over(connection: Connection, path: String, body: Bytes) -> Self {
        Self {
            connection,
            path,
            body,
        }
    }
}

impl Caller for Posts {
    async fn once(&mut self) -> Result<()> {
        let answer = self.connection.post(&self.path, self.body.clone());
        answer.await.map(drop)
    }
}
