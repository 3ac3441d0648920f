//! How a program calls agents: the one place that knows which client that is. Today it is HTTP with
//! a connection for each caller; the native link takes its place here.

use crate::http::Connection;
use crate::load::Caller;
use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use std::net::SocketAddr;
use std::time::Duration;

/// What the titles of rows say.
pub(crate) const NAME: &str = "HTTP, link to come";

/// Callers that a flood may have at once: no more connections than that.
pub(crate) const MOST_CALLERS: usize = 2048;

/// A client of one node, shared by the callers of a program.
#[derive(Clone)]
pub(crate) struct Link(SocketAddr);

impl Link {
    /// One connection.
    #[expect(clippy::unused_async, reason = "the native client connects here")]
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self(address))
    }

    /// What one caller holds: it makes one call at a time.
    pub(crate) async fn caller(&self) -> Result<LinkCaller> {
        Ok(LinkCaller(Connection::open(self.0).await?))
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The node had no room for it and said so (429 or 503).
    Refused,
    /// Anything else, such as a deadline that passed.
    Failed,
}

pub(crate) struct LinkCaller(Connection);

impl LinkCaller {
    /// A call that must succeed.
    pub(crate) async fn call(&mut self, target: &Target, argument: Bytes) -> Result<Bytes> {
        self.0.post(&target.path(), argument).await
    }

    /// A call that the node may refuse, with a deadline.
    pub(crate) async fn attempt(
        &mut self,
        target: &Target,
        argument: Bytes,
        deadline: Duration,
    ) -> Result<Outcome> {
        let timeout = format!("{}ms", deadline.as_millis());
        let path = target.path();
        let sent = self.0.send(Method::POST, &path, Some(&timeout), argument);
        match sent.await? {
            (status, _) if status.is_success() => Ok(Outcome::Done),
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
                Ok(Outcome::Refused)
            }
            (StatusCode::GATEWAY_TIMEOUT, _) => Ok(Outcome::Failed),
            (status, body) => bail!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// A method of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) agent: &'static str,
    pub(crate) key: String,
    pub(crate) method: &'static str,
}

impl Target {
    pub(crate) fn new(agent: &'static str, key: impl Into<String>, method: &'static str) -> Self {
        Self {
            agent,
            key: key.into(),
            method,
        }
    }

    /// Where the call is posted over HTTP.
    pub(crate) fn path(&self) -> String {
        format!("/v1/agents/{}/{}/{}", self.agent, self.key, self.method)
    }
}

/// A caller that makes the same call again and again.
pub(crate) struct Calls {
    caller: LinkCaller,
    target: Target,
    argument: Bytes,
}

impl Calls {
    pub(crate) async fn new(link: &Link, target: Target, argument: Bytes) -> Result<Self> {
        Ok(Self {
            caller: link.caller().await?,
            target,
            argument,
        })
    }
}

impl Caller for Calls {
    async fn once(&mut self) -> Result<()> {
        let answer = self.caller.call(&self.target, self.argument.clone());
        answer.await.map(drop)
    }
}
