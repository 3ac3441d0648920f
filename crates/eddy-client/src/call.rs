//! What can be asked of a node: calls of agents and invocations of functions, as values that wait
//! to be awaited.

use crate::client::Client;
use bytes::Bytes;
use eddy_link::{InvocationId, Operation, Request};
use eddy_types::{EddyError, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The id of an invocation: 32 hexadecimal digits, as in the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invocation(InvocationId);

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A result as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The invocation that made it.
    pub invocation: Option<Invocation>,
    /// JSON text, unless the target answers in another way.
    pub body: Bytes,
}

/// An agent of a node, by its address.
#[derive(Clone, Debug)]
pub struct Agent {
    client: Client,
    agent_type: String,
    key: String,
}

impl Agent {
    pub(crate) fn new(client: Client, agent_type: String, key: String) -> Self {
        Self {
            client,
            agent_type,
            key,
        }
    }

    /// Calls `method` with `argument`, as JSON, and waits for a result that reads as `T`.
    ///
    /// # Errors
    /// What the node answers; `invalid-json` for an argument that is no JSON value,
    /// `invalid-result` for a result that is no `T`, `connection-lost`, `deadline-exceeded`,
    /// `node-unreachable`.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: impl Into<String>,
        argument: &(impl Serialize + ?Sized),
    ) -> Call<T> {
        let operation = self.operation(method.into());
        Call::new(self.client.clone(), operation, json(argument), read)
    }

    /// Calls `method` with bytes and gives the answer as it came.
    ///
    /// # Errors
    /// As [`Self::call`], without those of JSON.
    pub fn call_raw(&self, method: impl Into<String>, argument: impl Into<Bytes>) -> Call<Reply> {
        let operation = self.operation(method.into());
        Call::new(self.client.clone(), operation, Ok(argument.into()), Ok)
    }

    /// Deletes the agent with its state and timers.
    ///
    /// # Errors
    /// What the node answers, and those of the connection.
    pub fn delete(&self) -> Call<()> {
        let operation = Operation::Delete {
            agent_type: self.agent_type.clone(),
            key: self.key.clone(),
        };
        let nothing = Ok(Bytes::new());
        Call::new(self.client.clone(), operation, nothing, |_| Ok(()))
    }

    fn operation(&self, method: String) -> Operation {
        Operation::Call {
            agent_type: self.agent_type.clone(),
            key: self.key.clone(),
            method,
            snapshot: false,
        }
    }
}

/// A function of a node, by its name.
#[derive(Clone, Debug)]
pub struct Function {
    client: Client,
    name: String,
}

impl Function {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Invokes the function with `argument`, as JSON, and waits for a result that reads as `T`.
    ///
    /// # Errors
    /// As [`Agent::call`].
    pub fn invoke<T: DeserializeOwned>(&self, argument: &(impl Serialize + ?Sized)) -> Call<T> {
        let operation = self.invocation();
        Call::new(self.client.clone(), operation, json(argument), read)
    }

    /// Invokes the function with bytes and gives the answer as it came.
    ///
    /// # Errors
    /// As [`Agent::call_raw`].
    pub fn invoke_raw(&self, argument: impl Into<Bytes>) -> Call<Reply> {
        let operation = self.invocation();
        Call::new(self.client.clone(), operation, Ok(argument.into()), Ok)
    }

    /// Has an invocation accepted durably, and gives its id before it runs.
    ///
    /// # Errors
    /// What the node answers, and those of the connection.
    pub fn submit(&self, argument: &(impl Serialize + ?Sized)) -> Call<Invocation> {
        self.submission(json(argument))
    }

    /// As [`Self::submit`], with bytes.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_raw(&self, argument: impl Into<Bytes>) -> Call<Invocation> {
        self.submission(Ok(argument.into()))
    }

    fn submission(&self, argument: Result<Bytes, EddyError>) -> Call<Invocation> {
        let function = self.name.clone();
        let operation = Operation::Submit { function };
        let accepted = |reply: Reply| {
            let missing = || EddyError::internal("the node accepted an invocation without its id");
            reply.invocation.ok_or_else(missing)
        };
        Call::new(self.client.clone(), operation, argument, accepted)
    }

    fn invocation(&self) -> Operation {
        let function = self.name.clone();
        Operation::Invoke { function }
    }
}

/// A request that is sent when it is awaited.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<T> {
    client: Client,
    request: Result<Request, EddyError>,
    read: fn(Reply) -> Result<T, EddyError>,
}

impl<T> Call<T> {
    fn new(
        client: Client,
        operation: Operation,
        body: Result<Bytes, EddyError>,
        read: fn(Reply) -> Result<T, EddyError>,
    ) -> Self {
        Self {
            client,
            request: body.map(|body| Request::new(operation, body)),
            read,
        }
    }

    /// Makes a repeat of the same request answer as the first one did: 1 to 255 characters, such
    /// as an order's number. Also lets the client send it again when the connection is lost.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.with(|request| request.idempotency_key = Some(key.into()))
    }

    /// Longest wait for the answer, over all attempts. The node knows it too.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.timeout = Some(timeout))
    }

    /// W3C trace context to go on with.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.with(|request| request.traceparent = Some(traceparent.into()))
    }

    /// Asks committed state, beside the live agent. For queries of agents; means nothing else.
    pub fn snapshot(self) -> Self {
        self.with(|request| {
            if let Operation::Call { snapshot, .. } = &mut request.operation {
                *snapshot = true;
            }
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        if let Ok(request) = &mut self.request {
            change(request);
        }
        self
    }
}

impl<T: 'static> IntoFuture for Call<T> {
    type Output = Result<T, EddyError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let reply = self.client.send(self.request?).await?;
            (self.read)(Reply {
                invocation: reply.invocation.map(Invocation),
                body: reply.body,
            })
        })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

fn json(argument: &(impl Serialize + ?Sized)) -> Result<Bytes, EddyError> {
    let text = serde_json::to_vec(argument).map_err(|error| {
        let detail = format!("the argument is not a JSON value: {error}");
        EddyError::new(ErrorCode::InvalidJson, detail)
    })?;
    Ok(text.into())
}

fn read<T: DeserializeOwned>(reply: Reply) -> Result<T, EddyError> {
    // A handler that returns nothing answers with no bytes or with null.
    let text = if reply.body.is_empty() {
        b"null"
    } else {
        &reply.body[..]
    };
    serde_json::from_slice(text).map_err(|error| {
        let detail = format!("the result does not read as what the caller expects: {error}");
        EddyError::new(ErrorCode::InvalidResult, detail)
            .hint("Compare the type in the calling program with what the handler returns.")
    })
}
