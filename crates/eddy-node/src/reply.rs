//! Where replies of the core go: one-shot channels of this node.

use crate::attempt::Permit;
use eddy_core::{MessageId, Outcome};
use eddy_types::{EddyError, ErrorCode};
use std::fmt;
use tokio::sync::oneshot;

/// What the core holds for whoever waits.
pub(crate) enum Reply {
    /// Somebody waits for an outcome.
    Outcome(oneshot::Sender<Outcome>),
    /// Somebody is told of an outcome, on the thread that has it.
    Then(Box<dyn FnOnce(Outcome) + Send>),
    /// An immediate effect waits for its gate and its id.
    Start(oneshot::Sender<Result<MessageId, EddyError>>),
}

impl Reply {
    pub(crate) fn outcome() -> (Self, oneshot::Receiver<Outcome>) {
        Self::admitted(None)
    }

    /// The same; `permit` lets its request in until there is an outcome, also when nobody waits for that any more.
    pub(crate) fn admitted(permit: Permit) -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        let reply = match permit {
            None => Self::Outcome(sender),
            Some(permit) => Self::Then(Box::new(move |outcome| {
                drop(permit);
                let _ = sender.send(outcome);
            })),
        };
        (reply, receiver)
    }

    pub(crate) fn start() -> (Self, oneshot::Receiver<Result<MessageId, EddyError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self::Start(sender), receiver)
    }

    // Who no longer waits has dropped its end; that is fine.
    pub(crate) fn answer(self, outcome: Outcome) {
        match self {
            Self::Outcome(sender) => drop(sender.send(outcome)),
            Self::Then(then) => then(outcome),
            Self::Start(sender) => drop(sender.send(match outcome {
                Err(error) => Err(error),
                Ok(_) => Err(EddyError::internal(
                    "an effect was answered with an outcome",
                )),
            })),
        }
    }

    pub(crate) fn begin(self, id: MessageId) {
        match self {
            Self::Start(sender) => drop(sender.send(Ok(id))),
            request => request.answer(Err(EddyError::internal("a request was told to start"))),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outcome(_) => "Outcome",
            Self::Then(_) => "Then",
            Self::Start(_) => "Start",
        })
    }
}

/// A reply that will never come: its shard is gone.
pub(crate) fn lost() -> EddyError {
    EddyError::new(
        ErrorCode::TurnAborted,
        "the node stopped before it could answer",
    )
    .hint("Try again; with an Idempotency-Key nothing is done twice.")
}
