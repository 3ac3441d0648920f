//! The node that a command talks to: its address, whom to trust there, and the two ways to it. What
//! is asked on them is in `commands`; calls, which can take either way, are in `caller`.

use crate::args::TargetArgs;
use crate::input;
use eddy_api::{Client, Credentials};
use eddy_types::EddyError;
use std::ffi::OsString;
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
    credentials: Credentials,
}

impl Remote {
    /// The node that the command line names.
    ///
    /// `invalid-argument` when a file that it names cannot be read.
    pub(crate) fn new(target: &TargetArgs) -> Result<Self, EddyError> {
        let read = |path: &OsString| input::pem(path.as_ref(), "--tls-ca");
        let credentials = Credentials {
            token: input::token(target.token_file.as_deref())?,
            tenant: target.tenant.clone(),
            roots: target.tls_ca.as_ref().map(read).transpose()?,
        };
        Ok(Self {
            url: target.url.clone(),
            credentials,
        })
    }

    /// The tenant that the command line names.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.credentials.tenant.as_deref()
    }

    /// The way over HTTP. Connects at the first request.
    ///
    /// `invalid-argument` for a bad address or certificate.
    pub(crate) fn http(&self) -> Result<Client, EddyError> {
        Client::with(&self.url, &self.credentials)
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
        let Credentials {
            token,
            tenant,
            roots,
        } = &self.credentials;
        if let Some(roots) = roots {
            link = link.tls_roots(roots.clone());
        }
        if let Some(token) = token {
            link = link.token(token);
        }
        if let Some(tenant) = tenant {
            link = link.tenant(tenant);
        }
        link.connect().await.ok()
    }
}
