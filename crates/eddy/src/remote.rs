//! The node that a command talks to: its address, whom to trust there, and the two ways to it. What
//! is asked on them is in `commands`; calls, which can take either way, are in `caller`.

use crate::input;
use eddy_api::Client;
use eddy_types::EddyError;
use std::ffi::OsStr;
use std::time::Duration;

/// How long a link may take to connect, and again to greet, before HTTP is used instead.
const LINK_WITHIN: Duration = Duration::from_secs(2);
/// The variables that name a proxy.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// A node by its address.
#[derive(Debug)]
pub(crate) struct Remote {
    url: String,
    /// Certificates to trust, PEM.
    roots: Option<Vec<u8>>,
}

impl Remote {
    /// The node at `url`; `tls_ca` is a file of certificates.
    ///
    /// `invalid-argument` when that cannot be read.
    pub(crate) fn new(url: &str, tls_ca: Option<&OsStr>) -> Result<Self, EddyError> {
        let read = |path: &OsStr| input::pem(path.as_ref(), "--tls-ca");
        Ok(Self {
            url: url.to_owned(),
            roots: tls_ca.map(read).transpose()?,
        })
    }

    /// The way over HTTP. Connects at the first request.
    ///
    /// `invalid-argument` for a bad address or certificate.
    pub(crate) fn http(&self) -> Result<Client, EddyError> {
        Client::with_roots(&self.url, self.roots.as_deref())
    }

    /// The way over the native link, when there is one: a node has greeted us on it. Whatever keeps
    /// one from being there, nothing was asked yet, and HTTP either works or says what is wrong.
    pub(crate) async fn link(&self) -> Option<eddy_client::Client> {
        let proxied = || PROXIES.iter().any(|name| std::env::var_os(name).is_some());
        if !Client::passes_by_proxies(&self.url) && proxied() {
            return None;
        }
        // A call is sent once, and waited for as long as the node works on it, as over HTTP.
        let mut link = eddy_client::Client::builder(&self.url)
            .connect_timeout(LINK_WITHIN)
            .default_timeout(None)
            .patience(Duration::MAX)
            .retries(0);
        if let Some(roots) = &self.roots {
            link = link.tls_roots(roots.clone());
        }
        link.connect().await.ok()
    }
}
