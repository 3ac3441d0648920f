//! Restate: a server and the process with its handlers, registered with each other.

use super::{npm_binary, own};
use crate::http::Connection;
use crate::process::{self, Server};
use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The server; its handlers run beside it as long as it does.
pub(crate) async fn start(folder: &Path) -> Result<Server> {
    let handlers = handlers(folder).await?;
    let data = process::folder()?;
    let [node, ingress, admin] = [
        process::free_port()?,
        process::free_port()?,
        process::free_port()?,
    ];
    let config = std::fs::read_to_string(own("restate/restate.toml"))?
        .replace("@DATA@", &data.path().join("data").to_string_lossy())
        .replace("@NODE@", &node.port().to_string())
        .replace("@INGRESS@", &ingress.port().to_string())
        .replace("@ADMIN@", &admin.port().to_string());
    let path = data.path().join("restate.toml");
    std::fs::write(&path, config)?;
    let binary = npm_binary(folder, "@restatedev", "restate-server-", "restate-server")?;
    let mut command = Command::new(binary);
    command.args(["--no-logo", "--config-file"]).arg(path);
    let server = Server::start(command, ingress, data).await?;
    until_called(admin, ingress, handlers.address).await?;
    Ok(server.with_other(handlers))
}

async fn handlers(folder: &Path) -> Result<Server> {
    // Where node finds the SDK.
    let script = folder.join("service.mjs");
    std::fs::copy(own("restate/service.mjs"), &script)?;
    let address = process::free_port()?;
    let package = super::install::node_package();
    let mut command = Command::new(folder.join(format!("node_modules/{package}/bin/node")));
    command
        .arg(script)
        .arg(address.port().to_string())
        .env("NODE_ENV", "production")
        .env("RESTATE_LOGGING", "WARN");
    Server::start(command, address, process::folder()?)
        .await
        .context("the handlers of Restate")
}

/// Registers the handlers, as soon as the server takes it, and calls one.
async fn until_called(admin: SocketAddr, ingress: SocketAddr, handlers: SocketAddr) -> Result<()> {
    let began = Instant::now();
    loop {
        match register(admin, ingress, handlers).await {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() > PATIENCE => bail!("Restate does not serve: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn register(admin: SocketAddr, ingress: SocketAddr, handlers: SocketAddr) -> Result<()> {
    let body = serde_json::json!({ "uri": format!("http://{handlers}"), "force": true });
    let mut connection = Connection::open(admin).await?;
    connection
        .post("/deployments", body.to_string().into())
        .await?;
    let mut connection = Connection::open(ingress).await?;
    connection
        .post("/Counter/warm/increment", bytes::Bytes::new())
        .await?;
    Ok(())
}
