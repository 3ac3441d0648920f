//! The output gate: what depends on a turn waits here until the turn's record is durable.

use crate::message::MessageId;
use crate::outbox::DeliveryResult;
use crate::record::Outcome;
use eddy_types::{Seq, ShardId};
use std::collections::BTreeMap;

/// Something that waits for durability.
#[derive(Debug)]
pub(crate) enum Gated<R> {
    /// A reply.
    Reply(R, Outcome),
    /// The end of an invocation is to be known.
    Ended(MessageId, Outcome),
    /// The end of a delivery is to be reported to its source.
    Settle(ShardId, u64, DeliveryResult),
    /// A background invocation is to run.
    Function(Box<crate::shard::FunctionStart>),
    /// An immediate effect of a turn is to be started: the turn, and what.
    Effect(crate::message::TurnId, crate::shard::EffectStart<R>),
}

/// What waits, by the record it waits for.
#[derive(Debug)]
pub(crate) struct Gates<R> {
    waiting: BTreeMap<Seq, Vec<Gated<R>>>,
}

impl<R> Default for Gates<R> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
        }
    }
}

impl<R> Gates<R> {
    pub(crate) fn hold(&mut self, until: Seq, gated: Gated<R>) {
        self.waiting.entry(until).or_default().push(gated);
    }

    /// What need not wait any longer, in order.
    pub(crate) fn open(&mut self, durable: Seq) -> impl Iterator<Item = Gated<R>> + use<R> {
        let later = self.waiting.split_off(&durable.next());
        std::mem::replace(&mut self.waiting, later)
            .into_values()
            .flatten()
    }

    /// Everything; for a shard that stops.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Gated<R>> + use<R> {
        std::mem::take(&mut self.waiting).into_values().flatten()
    }
}
