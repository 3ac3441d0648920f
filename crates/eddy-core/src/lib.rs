//! The rules of Eddy as state machines without clock, randomness, I/O or async: `now` is an
//! argument, the store is a port to read from, and every step answers with [`Action`]s for the
//! node (or the simulator) to carry out.
//!
//! A message is delivered to the [`ShardCore`] of its target. When its turn comes, the node runs
//! the guest, which gathers [`Effects`]; when the handler has ended they become one [`Record`],
//! which is appended to the journal and, until the store shows it, readable in the [`Overlay`].
//! Replies, sends and effects that depend on it wait at the output gate until it is durable.

mod dedupe;
mod effects;
mod gates;
mod import;
mod inbox;
mod message;
mod message_ids;
pub mod model;
mod outbox;
mod overlay;
mod ranges;
mod reads;
mod record;
mod shard;
mod share;
mod timers;
mod view;
mod volatile;

pub use effects::{Effects, Outgoing, TimerRequest, check_argument};
pub use import::Import;
pub use message::*;
pub use message_ids::MessageIds;
pub use outbox::{Delivery, DeliveryResult};
pub use overlay::{Overlay, OverlayRead};
pub use ranges::Ranges;
pub use reads::{Newer, Range, TurnReads};
pub use record::*;
#[cfg(feature = "mutations")]
pub use shard::Mutation;
pub use shard::{
    Action, FunctionEnd, FunctionRequest, FunctionStart, PlainSends, Probe, ShardCore, TurnEnd,
    TurnPolicy, TurnStart,
};
pub use share::{Amount, Held};
pub use view::*;
