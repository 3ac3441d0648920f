//! How a program calls agents: with eddy-client, one connection for all of its callers. The one place
//! that knows the native link.

use crate::load::Caller;
use anyhow::Result;
use bytes::Bytes;
use eddy_client::Client;
use eddy_link::{Config, Failure, Operation, Request};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Requests that one connection may have under way; more wait in the client.
pub(crate) const PER_CONNECTION: usize = 1024;

/// A connection to a node, shared by the callers of a program.
#[derive(Clone)]
pub(crate) struct Link(Client);

impl Link {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self(Client::connect(&format!("http://{address}")).await?))
    }

    /// A call that must succeed.
    pub(crate) async fn call(&self, target: &Target, argument: Bytes) -> Result<Bytes> {
        let agent = self.0.agent(target.agent, target.key.as_str());
        Ok(agent.call_raw(target.method, argument).await?.body)
    }
}

/// A connection whose caller takes a refusal for an answer, where a program would try again.
#[derive(Clone)]
pub(crate) struct Bare(eddy_link::Link);

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The node had no room for it and said so (429 or 503).
    Refused,
    /// Anything else, such as a deadline that passed.
    Failed,
}

impl Bare {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (link, linking) = eddy_link::open(stream, &Config::default());
        tokio::spawn(linking);
        link.greeted().await?;
        Ok(Self(link))
    }

    /// A call that the node may refuse, with a deadline.
    pub(crate) async fn attempt(
        &self,
        target: &Target,
        argument: Bytes,
        deadline: Duration,
    ) -> Outcome {
        let operation = Operation::Call {
            agent_type: target.agent.to_owned(),
            key: target.key.clone(),
            method: target.method.to_owned(),
            snapshot: false,
        };
        let mut request = Request::new(operation, argument);
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
}

/// A caller that makes the same call again and again.
pub(crate) struct Calls {
    link: Link,
    target: Target,
    argument: Bytes,
}

impl Calls {
    pub(crate) fn new(link: &Link, target: Target, argument: Bytes) -> Self {
        Self {
            link: link.clone(),
            target,
            argument,
        }
    }
}

impl Caller for Calls {
    async fn once(&mut self) -> Result<()> {
        let answer = self.link.call(&self.target, self.argument.clone());
        answer.await.map(drop)
    }
}
