//! This program, the address, and the node if one answers.

use super::Check;
use eddy_api::Client;
use eddy_node::OfflineAccess;
use eddy_server::{Protection, check_listen};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a node may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
const OWN: &str = env!("CARGO_PKG_VERSION");

/// What was found.
pub(crate) struct Found {
    pub(crate) checks: Vec<Check>,
    /// Whether there is a node.
    pub(crate) answers: bool,
}

pub(crate) async fn checks(client: &Client, listen: SocketAddr, data: &Path) -> Found {
    let mut checks = vec![Check::ok("eddy", format!("version {OWN}"))];
    let (node, answers) = node(client).await;
    checks.push(node);
    if answers {
        checks.extend(apps(client).await);
    }
    let ours = answers && client.url().port_or_known_default() == Some(listen.port());
    let tokens = OfflineAccess::demands_tokens(data).unwrap_or_default();
    checks.push(address(
        listen,
        TcpListener::bind(listen).err(),
        ours,
        tokens,
    ));
    Found { checks, answers }
}

/// The node, and whether there is one.
async fn node(client: &Client) -> (Check, bool) {
    const NAME: &str = "node";
    let url = client.url();
    let asked = tokio::time::timeout(WITHIN, client.version()).await;
    match asked.unwrap_or_else(|_| Err(client.no_answer("it takes too long"))) {
        Ok(version) if version == OWN => {
            (Check::ok(NAME, format!("version {version} at {url}")), true)
        }
        Ok(version) => {
            let found = format!("version {version} at {url}; this program has {OWN}");
            let advice = "Use the same version for both.";
            (Check::warn(NAME, found, advice), true)
        }
        Err(_) if !somebody_at(client).await => {
            (Check::ok(NAME, format!("none answers at {url}")), false)
        }
        Err(error) => {
            let advice = error.hint.clone().unwrap_or_default();
            (Check::warn(NAME, error.detail, advice), false)
        }
    }
}

/// Whether anything at all listens at the node's address.
async fn somebody_at(client: &Client) -> bool {
    let url = client.url();
    let host = url.host_str().unwrap_or_default();
    let address = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    let connected = tokio::time::timeout(WITHIN, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}

async fn apps(client: &Client) -> Option<Check> {
    const NAME: &str = "apps";
    let apps = tokio::time::timeout(WITHIN, client.apps()).await.ok()?;
    let apps = match apps {
        Ok(apps) => apps.items,
        Err(error) => {
            let advice = error.hint.clone().unwrap_or_default();
            return Some(Check::warn(NAME, error.detail, advice));
        }
    };
    let broken: Vec<_> = apps.iter().filter(|app| app.error.is_some()).collect();
    if broken.is_empty() {
        return Some(Check::ok(NAME, format!("{} deployed", apps.len())));
    }
    let names: Vec<_> = broken.iter().map(|app| app.name.as_str()).collect();
    let found = format!("{} deployed, {} cannot run", apps.len(), names.join(", "));
    Some(Check::warn(NAME, found, "`eddy ls` says why."))
}

fn address(listen: SocketAddr, refused: Option<std::io::Error>, ours: bool, tokens: bool) -> Check {
    const NAME: &str = "address";
    let near = listen.ip().to_canonical().is_loopback();
    let encrypted = true;
    match refused {
        None if near => Check::ok(NAME, format!("{listen} is free")),
        None => match check_listen(listen, Protection { tokens, encrypted }) {
            Ok(()) => Check::ok(
                NAME,
                format!("{listen} is free; `eddy up` needs --tls-cert there, or --plain-http"),
            ),
            Err(error) => Check::fail(NAME, error.detail, error.hint.unwrap_or_default()),
        },
        Some(_) if ours => Check::ok(NAME, format!("{listen} is the node's")),
        Some(error) if error.kind() == ErrorKind::AddrInUse => Check::fail(
            NAME,
            format!("{listen} is in use by another program"),
            "Stop what listens there, or choose another address: `eddy up --listen 127.0.0.1:0` takes a free one.",
        ),
        Some(error) => Check::fail(
            NAME,
            format!("{listen} cannot be listened on: {error}"),
            "Choose another address with --listen.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn an_address_is_free_ours_or_somebody_elses() {
        let listen = "127.0.0.1:7400".parse().expect("an address");
        let taken = || Some(std::io::Error::from(ErrorKind::AddrInUse));
        let address = |refused, ours| address(listen, refused, ours, false);
        assert_eq!(address(None, false).status, Status::Ok);
        assert_eq!(address(taken(), true).status, Status::Ok);
        let other = address(taken(), false);
        assert_eq!(other.status, Status::Fail);
        assert!(other.advice.expect("advice").contains("--listen"));
    }

    #[test]
    fn an_address_that_others_reach_needs_tokens() {
        let listen = "0.0.0.0:7400".parse().expect("an address");
        let without = address(listen, None, false, false);
        assert_eq!(without.status, Status::Fail);
        assert!(
            without
                .advice
                .expect("advice")
                .contains("eddy token create")
        );
        let with = address(listen, None, false, true);
        assert_eq!(with.status, Status::Ok);
        assert!(with.found.contains("--tls-cert"), "{}", with.found);
    }
}
