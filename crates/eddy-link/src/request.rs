//! What is asked and what is answered, in the crate's own types, and their heads on the wire.

use crate::frame::flags;
use crate::message::{ErrorBody, OperationKind, RequestHead, ResponseHead, millis};
use bytes::Bytes;
use eddy_types::limits::MAX_PAYLOAD_BYTES;
use eddy_types::{EddyError, ErrorCode};
use prost::Message as _;
use std::fmt;
use std::time::Duration;

/// Largest body of a response, in bytes: a result is at most [`MAX_PAYLOAD_BYTES`], and an error
/// with its stack and details may be somewhat larger.
pub const MAX_RESPONSE_BYTES: usize = MAX_PAYLOAD_BYTES + (100 << 10);

/// The id of an invocation, as the node has it.
pub type InvocationId = [u8; 16];

/// What is asked for. Names come as they were sent: the handler checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Call a method of an agent and wait for its result.
    Call {
        /// The agent's type.
        agent_type: String,
        /// The agent's key.
        key: String,
        /// The method.
        method: String,
        /// A query on committed state, beside the live instance.
        snapshot: bool,
    },
    /// Invoke a function and wait for its result.
    Invoke {
        /// The function.
        function: String,
    },
    /// Accept an invocation of a function durably; the answer is its id, before it ran.
    Submit {
        /// The function.
        function: String,
    },
    /// Delete an agent with its state and timers.
    Delete {
        /// The agent's type.
        agent_type: String,
        /// The agent's key.
        key: String,
    },
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub operation: Operation,
    /// The argument: JSON text unless the target says otherwise. At most `MAX_PAYLOAD_BYTES`.
    pub body: Bytes,
    /// The tenant; the node's own when absent.
    pub tenant: Option<String>,
    /// How long the client waits from now on; without a limit when absent.
    pub timeout: Option<Duration>,
    /// How much longer than `timeout` this side waits for the other's own word that the time is
    /// over. Stays on this side.
    pub patience: Duration,
    /// Makes a repeat answer as the first one did. 1 to 255 bytes.
    pub idempotency_key: Option<String>,
    /// W3C trace context, at most 128 bytes.
    pub traceparent: Option<String>,
}

impl Request {
    /// A request with nothing but its operation and argument.
    #[must_use]
    pub fn new(operation: Operation, body: Bytes) -> Self {
        Self {
            operation,
            body,
            tenant: None,
            timeout: None,
            patience: Duration::ZERO,
            idempotency_key: None,
            traceparent: None,
        }
    }

    /// The request of a head and a body.
    pub(crate) fn from_wire(head: RequestHead, body: Bytes) -> Result<Self, EddyError> {
        let (agent_type, key, name) = (head.agent_type, head.key, head.name);
        let operation = match OperationKind::try_from(head.operation) {
            Ok(OperationKind::CallAgent) => Operation::Call {
                agent_type,
                key,
                method: name,
                snapshot: head.snapshot,
            },
            Ok(OperationKind::InvokeFunction) => Operation::Invoke { function: name },
            Ok(OperationKind::SubmitFunction) => Operation::Submit { function: name },
            Ok(OperationKind::DeleteAgent) => Operation::Delete { agent_type, key },
            Ok(OperationKind::Unspecified) | Err(_) => {
                let detail = format!("the request has the unknown operation {}", head.operation);
                return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
                    .hint("The client may be newer than the node."));
            }
        };
        Ok(Self {
            operation,
            body,
            tenant: head.tenant,
            timeout: (head.timeout_ms > 0).then(|| Duration::from_millis(head.timeout_ms)),
            patience: Duration::ZERO,
            idempotency_key: head.idempotency_key,
            traceparent: head.traceparent,
        })
    }

    /// The head and the body of this request; the head declares no length yet.
    pub(crate) fn into_wire(self) -> (RequestHead, Bytes) {
        let mut head = RequestHead {
            timeout_ms: self.timeout.map_or(0, |timeout| millis(timeout).max(1)),
            idempotency_key: self.idempotency_key,
            traceparent: self.traceparent,
            tenant: self.tenant,
            ..RequestHead::default()
        };
        let kind = match self.operation {
            Operation::Call {
                agent_type,
                key,
                method,
                snapshot,
            } => {
                (head.agent_type, head.key, head.name) = (agent_type, key, method);
                head.snapshot = snapshot;
                OperationKind::CallAgent
            }
            Operation::Invoke { function } => {
                head.name = function;
                OperationKind::InvokeFunction
            }
            Operation::Submit { function } => {
                head.name = function;
                OperationKind::SubmitFunction
            }
            Operation::Delete { agent_type, key } => {
                (head.agent_type, head.key) = (agent_type, key);
                OperationKind::DeleteAgent
            }
        };
        head.operation = kind as i32;
        (head, self.body)
    }
}

/// An answer that is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The invocation that made it; after a submit, the one that will run.
    pub invocation: Option<InvocationId>,
    /// The result: JSON text unless the target says otherwise.
    pub body: Bytes,
}

/// What became of a request that has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The other side answered with the error.
    Answered,
    /// It certainly did not begin: it may be sent again as it is.
    NotStarted,
    /// It may have taken effect, or may still.
    Unknown,
}

/// A request that has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub error: EddyError,
    /// What became of the request.
    pub fate: Fate,
    /// The invocation that failed, when there was one.
    pub invocation: Option<InvocationId>,
}

impl Failure {
    /// A failure that this side found.
    #[must_use]
    pub fn new(error: EddyError, fate: Fate) -> Self {
        Self {
            error,
            fate,
            invocation: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {}

/// The outcome in a response's head and body; `Err` when they are malformed.
pub(crate) fn outcome(
    head: ResponseHead,
    body: Bytes,
    flag: u8,
) -> Result<Result<Reply, Failure>, prost::DecodeError> {
    let invocation = InvocationId::try_from(&head.invocation[..]).ok();
    if flag & flags::ERROR == 0 {
        return Ok(Ok(Reply { invocation, body }));
    }
    let fate = match flag & flags::NOT_STARTED {
        0 => Fate::Answered,
        _ => Fate::NotStarted,
    };
    Ok(Err(Failure {
        error: ErrorBody::decode(body)?.into(),
        fate,
        invocation,
    }))
}

/// An error as the body of a response, cut to what fits: its details go first, then its stack.
pub(crate) fn error_body(error: &EddyError) -> Bytes {
    let mut body = ErrorBody::from(error);
    if body.encoded_len() > MAX_RESPONSE_BYTES
        && let Some(guest) = &mut body.guest
    {
        guest.details = None;
    }
    if body.encoded_len() > MAX_RESPONSE_BYTES {
        body.guest = None;
        for text in [Some(&mut body.detail), body.hint.as_mut()]
            .into_iter()
            .flatten()
        {
            text.truncate(text.floor_char_boundary(MAX_RESPONSE_BYTES / 4));
        }
    }
    body.encode_to_vec().into()
}
