//! How a program calls agents: over the native link, one connection for all of its callers. The one
//! place that knows that protocol.

use crate::load::Caller;
use anyhow::Result;
use bytes::Bytes;
use eddy_link::{Config, Failure, Operation, Request};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Requests that one connection may have under way; more wait in the client.
pub(crate) const PER_CONNECTION: usize = 1024;

/// A connection to a node, shared by the callers of a program.
#[derive(Clone)]
pub(crate) struct Link(eddy_link::Link);

impl Link {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (link, linking) = eddy_link::open(stream, &Config::default());
        tokio::spawn(linking);
        link.greeted().await?;
        Ok(Self(link))
    }

    /// What one caller holds: it makes one call at a time.
    pub(crate) fn caller(&self) -> LinkCaller {
        LinkCaller(self.0.clone())
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

pub(crate) struct LinkCaller(eddy_link::Link);

impl LinkCaller {
    /// A call that must succeed.
    pub(crate) async fn call(&mut self, target: &Target, argument: Bytes) -> Result<Bytes> {
        let reply = self.0.request(target.request(argument)).await?;
        Ok(reply.body)
    }

    /// A call that the node may refuse, with a deadline.
    pub(crate) async fn attempt(
        &mut self,
        target: &Target,
        argument: Bytes,
        deadline: Duration,
    ) -> Outcome {
        let mut request = target.request(argument);
        request.timeout = Some(deadline);
        match self.0.request(request).await {
            Ok(_) => Outcome::Done,
            Err(Failure { error, .. }) if matches!(error.code.http_status(), 429 | 503) => {
                Outcome::Refused
            }
            Err(_) => Outcome::Failed,
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

    fn request(&self, argument: Bytes) -> Request {
        let operation = Operation::Call {
            agent_type: self.agent.to_owned(),
            key: self.key.clone(),
            method: self.method.to_owned(),
            snapshot: false,
        };
        Request::new(operation, argument)
    }
}

/// A caller that makes the same call again and again.
pub(crate) struct Calls {
    caller: LinkCaller,
    target: Target,
    argument: Bytes,
}

impl Calls {
    pub(crate) fn new(link: &Link, target: Target, argument: Bytes) -> Self {
        Self {
            caller: link.caller(),
            target,
            argument,
        }
    }
}

impl Caller for Calls {
    async fn once(&mut self) -> Result<()> {
        let answer = self.caller.call(&self.target, self.argument.clone());
        answer.await.map(drop)
    }
}
