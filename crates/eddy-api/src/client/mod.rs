//! A client of a node. One method per operation of the API; every failure is an [`EddyError`],
//! the node's own when it answered, `node-unreachable` when it did not.

mod about;
mod logs;
mod transport;

pub use logs::{LogEvent, LogQuery, LogStream};

use crate::{
    Agent, AgentPage, App, AppList, CreatedToken, DeadLetterPage, DeployRequest, ImportedAgent,
    Invocation, InvocationPage, NewToken, SetTenant, Tenant, TenantList, TokenList, headers,
};
use bytes::Bytes;
use eddy_types::EddyError;
use reqwest::{Method, RequestBuilder, Url};
use std::fmt;
use std::time::Duration;

/// A connection pool to one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

/// Who asks, and whom to trust.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token to show, where the node demands one.
    pub token: Option<String>,
    /// The tenant that an operator acts for.
    pub tenant: Option<String>,
    /// PEM certificates of who may sign the node's, over `https://`; without them it is those that the
    /// system trusts.
    pub roots: Option<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// How one call wants to be handled.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Makes a repeated request answer as the first one did.
    pub idempotency_key: Option<String>,
    /// The longest to wait; the manifest's time-out when absent.
    pub timeout: Option<Duration>,
    /// A query on committed state, beside the live instance.
    pub snapshot: bool,
}

/// The result of a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The invocation that made it.
    pub invocation: Option<String>,
    /// The result, JSON text.
    pub result: Bytes,
}

/// Which part of a listing is wanted.
#[derive(Clone, Debug, Default)]
pub struct PageQuery {
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Entries wanted.
    pub limit: Option<usize>,
}

impl Client {
    /// A client of the node at `url`, such as `http://127.0.0.1:7400`. Connects at the first request.
    ///
    /// # Errors
    /// `invalid-argument` for a bad URL.
    pub fn new(url: &str) -> Result<Self, EddyError> {
        Self::with(url, &Credentials::default())
    }

    /// As [`Self::new`], with credentials.
    ///
    /// # Errors
    /// `invalid-argument` for a bad URL, credentials that cannot be used, and a token that would go to
    /// another machine in plain text.
    pub fn with(url: &str, credentials: &Credentials) -> Result<Self, EddyError> {
        let base = transport::base_url(url)?;
        Ok(Self {
            http: transport::http_client(&base, credentials)?,
            base,
        })
    }

    /// Whether requests to `url` pass by the proxies that the environment names: it is an address of
    /// this machine, and what listens there no proxy can know.
    #[must_use]
    pub fn passes_by_proxies(url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| transport::is_loopback(&url))
    }

    /// The address of the node.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Invokes a function and waits for its result.
    pub async fn invoke(
        &self,
        function: &str,
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<Answer, EddyError> {
        let request = self.call_request(&["functions", function], argument, options)?;
        self.answer(request).await
    }

    /// Has an invocation accepted, and answers before it ran.
    pub async fn invoke_async(
        &self,
        function: &str,
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<Invocation, EddyError> {
        let request = self.call_request(&["functions", function], argument, options)?;
        self.document(request.header(headers::PREFER, "respond-async"))
            .await
    }

    /// Calls a method of an agent and waits for its reply.
    pub async fn call(
        &self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<Answer, EddyError> {
        let path = ["agents", agent_type, key, method];
        let request = self.call_request(&path, argument, options)?;
        self.answer(request).await
    }

    /// One page of the agents of a type whose keys start with `prefix`.
    pub async fn agents(
        &self,
        agent_type: &str,
        prefix: &str,
        page: &PageQuery,
    ) -> Result<AgentPage, EddyError> {
        let request = self.request(Method::GET, &["agents", agent_type])?;
        let request = if prefix.is_empty() {
            request
        } else {
            request.query(&[("prefix", prefix)])
        };
        self.document(paged(request, page)).await
    }

    /// What is known of an agent.
    pub async fn agent(&self, agent_type: &str, key: &str) -> Result<Agent, EddyError> {
        self.document(self.request(Method::GET, &["agents", agent_type, key])?)
            .await
    }

    /// Deletes an agent with all its state and timers.
    pub async fn delete_agent(
        &self,
        agent_type: &str,
        key: &str,
        options: &CallOptions,
    ) -> Result<(), EddyError> {
        let request = self.request(Method::DELETE, &["agents", agent_type, key])?;
        self.done(with_options(request, options)).await
    }

    /// An agent's durable state: the text of an [`crate::AgentDocument`].
    pub async fn export_agent(&self, agent_type: &str, key: &str) -> Result<Bytes, EddyError> {
        let request = self.request(Method::GET, &["state", agent_type, key])?;
        Ok(self.answer(request).await?.result)
    }

    /// Gives an agent the state of an [`crate::AgentDocument`].
    pub async fn import_agent(
        &self,
        agent_type: &str,
        key: &str,
        document: Bytes,
        replace: bool,
        options: &CallOptions,
    ) -> Result<ImportedAgent, EddyError> {
        let mut request = self.request(Method::PUT, &["state", agent_type, key])?;
        if replace {
            request = request.query(&[("replace", "true")]);
        }
        let request = request
            .header("content-type", "application/json")
            .body(document);
        self.document(with_options(request, options)).await
    }

    /// Deploys an app; compiling may take seconds.
    pub async fn deploy(&self, request: &DeployRequest) -> Result<App, EddyError> {
        self.document(self.request(Method::POST, &["apps"])?.json(request))
            .await
    }

    /// All apps.
    pub async fn apps(&self) -> Result<AppList, EddyError> {
        self.document(self.request(Method::GET, &["apps"])?).await
    }

    /// One app.
    pub async fn app(&self, name: &str) -> Result<App, EddyError> {
        self.document(self.request(Method::GET, &["apps", name])?)
            .await
    }

    /// Removes an app; its agents' state stays.
    pub async fn delete_app(&self, name: &str) -> Result<(), EddyError> {
        self.done(self.request(Method::DELETE, &["apps", name])?)
            .await
    }

    /// The record of an invocation.
    pub async fn invocation(&self, id: &str) -> Result<Invocation, EddyError> {
        self.document(self.request(Method::GET, &["invocations", id])?)
            .await
    }

    /// One page of invocations, newest first.
    pub async fn invocations(&self, page: &PageQuery) -> Result<InvocationPage, EddyError> {
        self.document(paged(self.request(Method::GET, &["invocations"])?, page))
            .await
    }

    /// One page of dead letters.
    pub async fn dead_letters(&self, page: &PageQuery) -> Result<DeadLetterPage, EddyError> {
        self.document(paged(self.request(Method::GET, &["dead-letters"])?, page))
            .await
    }

    /// Sends a dead letter again.
    pub async fn redrive(&self, id: &str) -> Result<(), EddyError> {
        self.done(self.request(Method::POST, &["dead-letters", id, "redrive"])?)
            .await
    }

    /// Drops a dead letter.
    pub async fn discard(&self, id: &str) -> Result<(), EddyError> {
        self.done(self.request(Method::DELETE, &["dead-letters", id])?)
            .await
    }

    /// Makes a token.
    pub async fn create_token(&self, new: &NewToken) -> Result<CreatedToken, EddyError> {
        self.document(self.request(Method::POST, &["tokens"])?.json(new))
            .await
    }

    /// The tokens that the bearer may know of.
    pub async fn tokens(&self) -> Result<TokenList, EddyError> {
        self.document(self.request(Method::GET, &["tokens"])?).await
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, id: &str) -> Result<(), EddyError> {
        self.done(self.request(Method::DELETE, &["tokens", id])?)
            .await
    }

    /// The tenants that the bearer may know of.
    pub async fn tenants(&self) -> Result<TenantList, EddyError> {
        self.document(self.request(Method::GET, &["tenants"])?)
            .await
    }

    /// One tenant.
    pub async fn tenant(&self, name: &str) -> Result<Tenant, EddyError> {
        self.document(self.request(Method::GET, &["tenants", name])?)
            .await
    }

    /// Makes a tenant, or changes it.
    pub async fn set_tenant(&self, name: &str, change: &SetTenant) -> Result<Tenant, EddyError> {
        self.document(self.request(Method::PUT, &["tenants", name])?.json(change))
            .await
    }

    fn call_request(
        &self,
        path: &[&str],
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<RequestBuilder, EddyError> {
        let request = self.request(Method::POST, path)?;
        let request = request
            .header("content-type", "application/json")
            .body(argument);
        Ok(with_options(request, options))
    }
}

fn with_options(mut request: RequestBuilder, options: &CallOptions) -> RequestBuilder {
    if let Some(key) = &options.idempotency_key {
        request = request.header(headers::IDEMPOTENCY_KEY, key);
    }
    if let Some(timeout) = options.timeout {
        let text = humantime::format_duration(timeout).to_string();
        request = request.header(headers::TIMEOUT, text);
    }
    if options.snapshot {
        request = request.header(headers::CONSISTENCY, "snapshot");
    }
    request
}

fn paged(mut request: RequestBuilder, page: &PageQuery) -> RequestBuilder {
    if let Some(cursor) = &page.cursor {
        request = request.query(&[("cursor", cursor)]);
    }
    if let Some(limit) = page.limit {
        request = request.query(&[("limit", limit)]);
    }
    request
}
