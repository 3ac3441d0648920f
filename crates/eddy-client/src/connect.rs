//! Where the node is, and how a connection to it is made.

use crate::task;
use eddy_link::tls::TlsClient;
use eddy_link::{Config, Link, Transport};
use eddy_types::{EddyError, ErrorCode};
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use url::{Host, Url};

/// The port of a node when its address names none.
const DEFAULT_PORT: u16 = 7400;

/// An address, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Target {
    /// Whether it is an address of this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.host.to_ascii_lowercase();
        let address = name.parse::<IpAddr>();
        address.map_or_else(
            |_| name == "localhost" || name.ends_with(".localhost"),
            |address| address.to_canonical().is_loopback(),
        )
    }

    /// Reads an address: `http://`, `https://`, `eddy://` or `eddys://`, a host and a port.
    pub(crate) fn parse(text: &str) -> Result<Self, EddyError> {
        let url = Url::parse(text).map_err(|error| bad(text, &error.to_string()))?;
        let (tls, port) = match url.scheme() {
            "http" => (false, url.port_or_known_default()),
            "https" => (true, url.port_or_known_default()),
            "eddy" => (false, url.port()),
            "eddys" => (true, url.port()),
            other => return Err(bad(text, &format!("{other:?} is not a scheme of a node"))),
        };
        let plain = matches!(url.path(), "" | "/") && url.query().is_none();
        if !plain || !url.username().is_empty() || url.password().is_some() {
            return Err(bad(text, "only scheme, host and port belong there"));
        }
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Ipv4(address)) => address.to_string(),
            // Of schemes it does not know, `url` leaves IPv4 addresses as names, which do as well.
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            _ => return Err(bad(text, "it names no host")),
        };
        Ok(Self {
            host,
            port: port.unwrap_or(DEFAULT_PORT),
            tls,
        })
    }
}

/// Attempts to connect, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Connecting {
    /// Held while a connection is made; how the last attempt failed.
    failure: Mutex<Option<EddyError>>,
    /// Attempts that failed.
    failures: AtomicU64,
}

impl Connecting {
    /// Runs `connect` when nobody else does. Who had to wait for an attempt shares its failure:
    /// otherwise many callers would each wait for the attempts of all before them.
    pub(crate) async fn join<F>(&self, connect: impl FnOnce() -> F) -> Result<Link, EddyError>
    where
        F: Future<Output = Result<Link, EddyError>>,
    {
        let seen = self.failures.load(Ordering::Acquire);
        let mut failure = self.failure.lock().await;
        if self.failures.load(Ordering::Acquire) != seen
            && let Some(error) = &*failure
        {
            return Err(error.clone());
        }
        let connected = connect().await;
        *failure = connected.as_ref().err().cloned();
        if failure.is_some() {
            self.failures.fetch_add(1, Ordering::Release);
        }
        connected
    }
}

/// How connections are made.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) target: Target,
    pub(crate) tls: Option<TlsClient>,
    pub(crate) timeout: Duration,
    pub(crate) config: Config,
}

impl Connector {
    /// A new connection. Requests may be sent on it at once.
    pub(crate) async fn connect(&self) -> Result<Link, EddyError> {
        let transport = match tokio::time::timeout(self.timeout, self.transport()).await {
            Ok(Ok(transport)) => transport,
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Err(_) => return Err(self.unreachable(&format!("no answer in {:?}", self.timeout))),
        };
        let (link, linking) = eddy_link::open(transport, &self.config);
        task::run(linking);
        Ok(link)
    }

    /// A new connection to a node that has said who it is.
    pub(crate) async fn greeted(&self) -> Result<Link, EddyError> {
        let link = self.connect().await?;
        match link.greeted().await {
            Ok(_) => Ok(link),
            Err(error) if error.code == ErrorCode::UnsupportedVersion => Err(error),
            Err(error) => Err(self.unreachable(&format!(
                "what answers there does not speak the native link ({})",
                error.detail
            ))),
        }
    }

    async fn transport(&self) -> std::io::Result<Transport> {
        let Target { host, port, .. } = &self.target;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        match &self.tls {
            Some(tls) => tls.connect(host, stream).await,
            None => Ok(stream.into()),
        }
    }

    fn unreachable(&self, why: &str) -> EddyError {
        let Target { host, port, .. } = &self.target;
        let detail = format!("cannot reach the node at {host}:{port}: {why}");
        EddyError::new(ErrorCode::NodeUnreachable, detail)
            .hint("Start a node with `eddy up`, or check the address.")
    }
}

fn bad(text: &str, why: &str) -> EddyError {
    let detail = format!("{text:?} is not the address of a node: {why}");
    EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Write it like http://127.0.0.1:7400, eddy://host:7400 or eddys://host:7400.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, host, port, tls) in [
            ("http://127.0.0.1:7400", "127.0.0.1", 7400, false),
            ("http://localhost", "localhost", 80, false),
            ("https://eddy.example", "eddy.example", 443, true),
            ("eddy://127.0.0.1", "127.0.0.1", 7400, false),
            ("eddy://node-1:9000/", "node-1", 9000, false),
            ("eddys://[::1]:9", "::1", 9, true),
        ] {
            let target = Target::parse(text).expect(text);
            assert_eq!((&*target.host, target.port), (host, port), "{text}");
            assert_eq!(target.tls, tls, "{text}");
        }
        for bad in [
            "",
            "localhost:7400",
            "ftp://x",
            "eddy://",
            "eddy://host/path",
            "http://me@host",
            "http://host?x=1",
        ] {
            let error = Target::parse(bad).expect_err(bad);
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{bad}");
        }
    }
}
