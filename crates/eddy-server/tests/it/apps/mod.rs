//! Apps that answer HTTP, over the wire: guests/http-guest is what answers, and says by the path what it is to do.

mod ends;
mod life;
mod outbound;
mod requests;
mod unread;

use crate::wire::{Answer, Running};
use bytes::Bytes;
use eddy_node::{Code, Deployment, InvocationInfo, InvocationStatus, PageRequest};
use eddy_types::{EddyError, Manifest, Name, TenantId};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const GUEST: &[u8] = include_bytes!("../../../../eddy-wasm/assets/http-guest.wasm");
/// Functions and an agent, for what apps ask of each other.
const PLAIN: &[u8] = include_bytes!("../../../../eddy-wasm/assets/bench-guest.wasm");

/// A node with the app `web`, of one component.
async fn web() -> Running {
    web_with(json!({})).await
}

/// The same with more in its manifest.
async fn web_with(settings: Value) -> Running {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Running::start_over(data, 64, None).await;
    let tenant = TenantId::default_tenant();
    deploy(&server, &tenant, "web", settings, &[("main", GUEST)])
        .await
        .expect("it deploys");
    server
}

async fn deploy(
    server: &Running,
    tenant: &TenantId,
    app: &str,
    mut settings: Value,
    components: &[(&str, &'static [u8])],
) -> Result<(), EddyError> {
    settings["name"] = json!(app);
    let manifest: Manifest = serde_json::from_value(settings).expect("a manifest");
    let components = components.iter().map(|(name, bytes)| {
        let name = Name::new(name).expect("a name");
        (name, Code::Wasm(Bytes::from_static(bytes)))
    });
    let deployment = Deployment {
        manifest,
        components: components.collect(),
    };
    server.node.deploy(tenant, deployment).await.map(drop)
}

async fn get(server: &Running, path: &str) -> Answer {
    server.send("GET", path, "", "").await
}

/// What the record of the only request so far says, once it has ended.
async fn ended(server: &Running) -> InvocationInfo {
    let (tenant, page) = (TenantId::default_tenant(), PageRequest::default());
    loop {
        let all = server.node.invocations(&tenant, &page).await;
        let mut all = all.expect("a page").items;
        let status = all.first().map(|info| info.status);
        if matches!(
            status,
            Some(InvocationStatus::Succeeded | InvocationStatus::Failed)
        ) {
            return all.remove(0);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn code_of(info: &InvocationInfo) -> &'static str {
    match &info.outcome {
        Some(Err(error)) => error.code.as_str(),
        _ => "no error",
    }
}

fn printed(info: &InvocationInfo) -> Vec<String> {
    let lines = info.logs.iter();
    lines
        .map(|line| format!("{} {}", line.level, line.message))
        .collect()
}

/// A connection that is written to and read from piece by piece.
struct Wire(TcpStream);

impl Wire {
    async fn open(server: &Running, request: &str) -> Self {
        let mut wire = Self(server.connect().await);
        wire.write(request.as_bytes()).await;
        wire
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("it goes out");
    }

    /// Reads until `end` has come.
    async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.contains(end) {
            let mut piece = [0; 4096];
            let read = self.0.read(&mut piece).await.expect("something comes");
            assert!(read > 0, "the connection ended after {text:?}");
            text += std::str::from_utf8(&piece[..read]).expect("UTF-8");
        }
        text
    }

    /// All that comes until the connection ends, in order or cut.
    async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).expect("UTF-8")
    }
}

/// The end of a body in chunks.
const LAST_CHUNK: &str = "0\r\n\r\n";
