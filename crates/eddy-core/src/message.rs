//! Messages: what is delivered to an agent, where it came from, and the chain of calls above it.

use crate::import::Import;
use crate::record::{DedupeKey, DedupeScope, Sender};
use bytes::Bytes;
use eddy_types::{AgentId, Digest, MethodName, Seq, ShardId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Names a message, and the invocation that handles it. A message that may be delivered again
/// has the same id each time, so that the effects it starts have the same ids too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u128);

impl MessageId {
    /// The id of a client's message with an idempotency key.
    #[must_use]
    pub fn of_key(scope: &DedupeScope, key: &str) -> Self {
        let tenant_and_target = match scope {
            DedupeScope::Agent(agent) => [
                agent.tenant().as_str(),
                agent.agent_type().as_str(),
                agent.key().as_str(),
            ],
            DedupeScope::Function(function) => {
                [function.tenant.as_str(), function.name.as_str(), ""]
            }
        };
        let [a, b, c] = tenant_and_target.map(str::as_bytes);
        Self::derive(None, &[b"key", a, b, c, key.as_bytes()])
    }

    /// The id of the immediate effect that the handler of `self` starts as number `ordinal`.
    #[must_use]
    pub fn effect(self, ordinal: u32) -> Self {
        let parts: [&[u8]; 3] = [b"effect", &self.0.to_be_bytes(), &ordinal.to_be_bytes()];
        Self::derive(None, &parts)
    }

    /// The first 16 bytes of a BLAKE3 hash, keyed with a secret if there is one, over the parts, each after
    /// its length. Nobody finds two messages with one id, and an id is made for every nested call, so it
    /// has to be quick.
    pub(crate) fn derive(secret: Option<&[u8; 32]>, parts: &[&[u8]]) -> Self {
        let mut hasher = secret.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self(u128::from_be_bytes(id))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for MessageId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "an invocation id is 32 hex digits";
        if text.len() != 32 {
            return Err(WHY);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| WHY)
    }
}

/// A turn, or a function's invocation, that waits for calls. Unique while the node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TurnId {
    /// The shard it runs in.
    pub shard: ShardId,
    /// Counts up within the shard.
    pub number: u64,
}

/// The calls above a message: who waits for whom, from the root down.
#[derive(Clone, Debug)]
pub struct CallChain {
    /// When the root message arrived; the youngest root loses a deadlock.
    pub root_at: Timestamp,
    /// The agents that wait, outermost first. A call to one of them could never be answered.
    pub agents: Arc<[AgentId]>,
    /// The turn that waits for this very message; none when a client or a function does.
    pub caller: Option<TurnId>,
    /// How many calls deep, functions included.
    pub depth: usize,
}

impl CallChain {
    /// The chain of a message that nobody's turn waits for.
    #[must_use]
    pub fn root(now: Timestamp) -> Self {
        Self {
            root_at: now,
            agents: Arc::from([]),
            caller: None,
            depth: 0,
        }
    }

    /// The chain of what `agent`'s turn calls.
    #[must_use]
    pub fn under(&self, agent: &AgentId, turn: TurnId) -> Self {
        let agents = self.agents.iter().chain([agent]).cloned().collect();
        Self {
            root_at: self.root_at,
            agents,
            caller: Some(turn),
            depth: self.depth + 1,
        }
    }

    /// The chain of what a function invoked under this chain calls.
    #[must_use]
    pub fn through_function(&self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self.clone()
        }
    }
}

/// A message to an agent. `R` is where its reply goes: a channel on a node, a number in the simulator.
#[derive(Debug)]
pub struct Message<R> {
    /// Its id.
    pub id: MessageId,
    /// The target.
    pub to: AgentId,
    /// What to do.
    pub operation: Operation,
    /// Where it came from.
    pub origin: Origin<R>,
    /// Given up from then on.
    pub deadline: Option<Timestamp>,
    /// The calls above it.
    pub chain: CallChain,
    /// Whether it may be delivered again by its sender, so that what it starts must be remembered.
    pub retriable: bool,
}

impl<R> Message<R> {
    /// Who waits for the reply.
    pub(crate) fn waiter(self) -> Option<R> {
        match self.origin {
            Origin::Request { reply, .. } => Some(reply),
            Origin::Send { .. } | Origin::Timer { .. } => None,
        }
    }
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Run a method.
    Method {
        /// The method.
        method: MethodName,
        /// The argument, JSON text.
        argument: Bytes,
        /// A query: commits nothing.
        read_only: bool,
    },
    /// Delete the agent. Runs no guest.
    Delete,
    /// Put something in the place of the agent's state and timers. Runs no guest.
    Import(Box<Import>),
}

impl Operation {
    /// What it holds in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Method { argument, .. } => argument.len() + 256,
            Self::Delete => 256,
            Self::Import(import) => import.held_bytes() + 256,
        }
    }

    /// The digest that an idempotency key is remembered with.
    #[must_use]
    pub fn digest(&self, to: &AgentId) -> Digest {
        let (agent_type, key) = (to.agent_type().as_str(), to.key().as_str());
        let address = [agent_type.as_bytes(), key.as_bytes()];
        let parts: Vec<Bytes> = match self {
            Self::Method {
                method, argument, ..
            } => {
                let [agent_type, key] = address;
                let method = method.as_str().as_bytes();
                return Digest::of_parts(&[agent_type, key, method, argument]);
            }
            Self::Delete => vec![Bytes::new(), Bytes::new()],
            // No method has an empty name.
            Self::Import(import) => std::iter::once(Bytes::new())
                .chain(import.parts())
                .collect(),
        };
        let parts = parts.iter().map(|part| &part[..]);
        Digest::of_parts(&address.into_iter().chain(parts).collect::<Vec<_>>())
    }

    /// Whether it cannot change anything.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(
            self,
            Self::Method {
                read_only: true,
                ..
            }
        )
    }
}

/// Where a message came from.
#[derive(Debug)]
pub enum Origin<R> {
    /// Somebody waits for the reply: a client, a function, or another agent's turn.
    Request {
        /// Where the reply goes.
        reply: R,
        /// What a duplicate is known by.
        key: Option<DedupeKey>,
    },
    /// A send from a shard's outbox.
    Send {
        /// The shard it came from.
        source: ShardId,
        /// Its number from that shard to this one.
        seq: u64,
        /// Every number below this one is settled at the source.
        floor: u64,
        /// Who sent it.
        from: Sender,
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// A timer of the agent itself.
    Timer {
        /// Its name.
        name: String,
        /// Which one of that name.
        generation: Seq,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_effects_are_stable_and_distinct() {
        let message = MessageId(3);
        assert_eq!(message.effect(1), MessageId(3).effect(1));
        assert_ne!(message.effect(0), message.effect(1));
        assert_ne!(message.effect(0), MessageId(4).effect(0));
        assert_eq!(message.to_string().parse(), Ok(message));
    }
}
