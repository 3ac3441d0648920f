//! The client: one connection for all clones, made again when it is lost, and the rule of what is
//! sent again.

use crate::call::{Agent, Function};
use crate::connect::{Connecting, Connector, Target};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use eddy_link::tls::TlsClient;
use eddy_link::{Config, Failure, Fate, Link, Reply, Request, Token};
use eddy_types::{EddyError, ErrorCode};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for an answer when nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a connection when nothing else is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Times that a request is sent again when nothing else is said.
const RETRIES: usize = 8;
/// First and longest pause before a request is sent again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A client of one node. Cheap to clone; all clones share one connection, which is closed when the
/// last one is dropped.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Connector,
    timeout: Option<Duration>,
    patience: Duration,
    retries: usize,
    tenant: Option<String>,
    link: RwLock<Option<Link>>,
    connecting: Connecting,
}

/// Options of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    url: String,
    roots: Option<Vec<u8>>,
    connect_timeout: Duration,
    timeout: Option<Duration>,
    patience: Duration,
    retries: usize,
    tenant: Option<String>,
    token: Option<Token>,
}

impl ClientBuilder {
    /// The certificates (PEM) that may sign the node's; `eddys://` and `https://` need some.
    #[must_use]
    pub fn tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Longest wait for a connection, TLS included. 5 seconds when not said.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Longest wait for the answer to a request that says nothing else; `None` waits without end.
    /// 30 seconds when not said.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// How much longer than a request's time-out to wait for the node's own word that the time is
    /// over, which says more: where it was spent. Nothing when not said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How often at most a request is sent again by the client itself, where that is safe. 8 times
    /// when not said.
    #[must_use]
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// The token to show, where the node demands one. Over `http://` and `eddy://` it goes in plain
    /// text, and so only to this machine.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::new(token));
        self
    }

    /// The tenant of all requests, which only an operator chooses; the token's own when not said.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Connects, and waits until the node has said who it is.
    ///
    /// # Errors
    /// `invalid-argument` for a bad address or certificate, `node-unreachable`,
    /// `unsupported-version`.
    pub async fn connect(self) -> Result<Client, EddyError> {
        let client = self.build()?;
        let inner = &client.0;
        let greeted = inner.connector.greeted();
        let link = match tokio::time::timeout(inner.connector.timeout * 2, greeted).await {
            Ok(link) => link?,
            Err(_) => {
                let detail = "the node took the connection, but says nothing";
                return Err(EddyError::new(ErrorCode::NodeUnreachable, detail));
            }
        };
        inner.set(link);
        Ok(client)
    }

    /// A client that connects at its first request.
    ///
    /// # Errors
    /// `invalid-argument` for a bad address or certificate.
    pub fn build(self) -> Result<Client, EddyError> {
        let target = Target::parse(&self.url)?;
        let tls = match (&self.roots, target.tls) {
            (Some(roots), true) => Some(TlsClient::with_roots(roots)?),
            (None, true) => {
                let detail = "a connection over TLS needs to know which certificates to trust";
                return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
                    .hint("Give them with `tls_roots`, as PEM."));
            }
            (_, false) => None,
        };
        if self.token.is_some() && !target.tls && !target.is_loopback() {
            let detail = format!("the token would go to {} in plain text", target.host);
            return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
                .hint("Use an eddys:// or https:// address."));
        }
        let software = concat!("eddy-client/", env!("CARGO_PKG_VERSION")).to_owned();
        let connector = Connector {
            target,
            tls,
            timeout: self.connect_timeout,
            config: Config {
                software,
                token: self.token,
                ..Config::default()
            },
        };
        Ok(Client(Arc::new(Inner {
            connector,
            timeout: self.timeout,
            patience: self.patience,
            retries: self.retries,
            tenant: self.tenant,
            link: RwLock::default(),
            connecting: Connecting::default(),
        })))
    }
}

impl Client {
    /// Connects to the node at `url`, such as `http://127.0.0.1:7400`, `eddy://host:7400` or, over
    /// TLS, `eddys://host:7400` (which needs [`ClientBuilder::tls_roots`]).
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, EddyError> {
        Self::builder(url).connect().await
    }

    /// Options before connecting.
    #[must_use]
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            roots: None,
            connect_timeout: CONNECT_TIMEOUT,
            timeout: Some(DEFAULT_TIMEOUT),
            patience: Duration::ZERO,
            retries: RETRIES,
            tenant: None,
            token: None,
        }
    }

    /// The agent `agent_type/key`. Asks nothing of the node.
    #[must_use]
    pub fn agent(&self, agent_type: impl Into<String>, key: impl Into<String>) -> Agent {
        Agent::new(self.clone(), agent_type.into(), key.into())
    }

    /// The function `name`. Asks nothing of the node.
    #[must_use]
    pub fn function(&self, name: impl Into<String>) -> Function {
        Function::new(self.clone(), name.into())
    }

    /// Sends a request, again where that is safe, until its time is over.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Reply, EddyError> {
        request.timeout = request.timeout.or(self.0.timeout);
        request.patience = self.0.patience;
        if request.tenant.is_none() {
            request.tenant.clone_from(&self.0.tenant);
        }
        // What lies beyond the end of time is no limit.
        let deadline = request
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let mut pauses: Option<ExponentialBackoff> = None;
        loop {
            let failure = match self.attempt(request.clone(), deadline).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if !may_repeat(&failure, &request) {
                return Err(failure.error);
            }
            let pause = pauses.get_or_insert_with(|| backoff(self.0.retries)).next();
            let Some(pause) = pause.map(|pause| pause.max(wanted(&failure))) else {
                return Err(failure.error);
            };
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left <= pause {
                    return Err(failure.error);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request once, with the time that is left of its own.
    async fn attempt(
        &self,
        mut request: Request,
        deadline: Option<Instant>,
    ) -> Result<Reply, Failure> {
        let link = match self.0.current() {
            Some(link) => link,
            None => self.0.reconnect(deadline).await?,
        };
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            request.timeout = Some(left);
        }
        link.request(request).await
    }
}

impl Inner {
    /// The connection, if it takes requests.
    fn current(&self) -> Option<Link> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        link.as_ref().filter(|link| link.is_open()).cloned()
    }

    fn set(&self, link: Link) {
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    /// A new connection, made by one of those who need it.
    async fn reconnect(&self, deadline: Option<Instant>) -> Result<Link, Failure> {
        let connect = || async {
            if let Some(link) = self.current() {
                return Ok(link);
            }
            let link = self.connector.connect().await?;
            self.set(link.clone());
            Ok(link)
        };
        let connecting = self.connecting.join(connect);
        let connected = match deadline {
            None => connecting.await,
            Some(deadline) => match tokio::time::timeout_at(deadline, connecting).await {
                Ok(connected) => connected,
                Err(_) => return Err(late()),
            },
        };
        connected.map_err(|error| Failure::new(error, Fate::NotStarted))
    }
}

/// The time was over before the request could be sent.
fn late() -> Failure {
    let detail = "there was no connection to the node in time";
    let error = EddyError::new(ErrorCode::DeadlineExceeded, detail);
    Failure::new(error, Fate::NotStarted)
}

fn backoff(retries: usize) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(PAUSES.0)
        .with_max_delay(PAUSES.1)
        .with_max_times(retries)
        .with_jitter()
        .build()
}

/// How long the node wants to be left alone, within reason.
fn wanted(failure: &Failure) -> Duration {
    let after = failure.error.retry_after.unwrap_or_default();
    after.min(PAUSES.1)
}

/// Whether to send a request again by ourselves: it did not begin, or its key makes that safe.
fn may_repeat(failure: &Failure, request: &Request) -> bool {
    let of_the_connection = matches!(
        failure.error.code,
        ErrorCode::ConnectionLost | ErrorCode::NodeUnreachable | ErrorCode::ShuttingDown
    );
    match failure.fate {
        Fate::NotStarted => of_the_connection || failure.error.code == ErrorCode::Overloaded,
        Fate::Unknown => {
            failure.error.code == ErrorCode::ConnectionLost && request.idempotency_key.is_some()
        }
        Fate::Answered => false,
    }
}
