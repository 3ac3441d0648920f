//! The ids of what a shard gives to its agents by itself: deliveries of sends and firings of timers. Both
//! are hashes of a place in a journal that all tenants write to, so they are keyed with a secret:
//! without one, who is shown an id could search for its place, and read from it how much others do.

use crate::message::MessageId;
use eddy_types::{Seq, ShardId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Makes the ids of a shard's deliveries and firings. It is kept with the shard's rows, and never
/// changes: what is tried again, in whatever life of the node, has the same id.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageIds {
    /// Never shown to anybody.
    pub secret: [u8; 32],
    /// Sends up to this number, by source, were named before there was a secret.
    pub sends_before: BTreeMap<ShardId, u64>,
    /// Timers that this record or an earlier one set were named before there was a secret.
    pub timers_before: Seq,
}

impl MessageIds {
    /// The id of a delivery of a send to `dest`, the shard that this belongs to.
    pub(crate) fn of_send(&self, source: ShardId, dest: ShardId, seq: u64) -> MessageId {
        let before = self.sends_before.get(&source);
        let secret = before
            .is_none_or(|last| seq > *last)
            .then_some(&self.secret);
        let (source, dest) = (source.0.to_be_bytes(), dest.0.to_be_bytes());
        MessageId::derive(secret, &[b"send", &source, &dest, &seq.to_be_bytes()])
    }

    /// The id of a firing of a timer.
    pub(crate) fn of_timer(&self, shard: ShardId, generation: Seq, name: &str) -> MessageId {
        let secret = (generation > self.timers_before).then_some(&self.secret);
        let (shard, generation) = (shard.0.to_be_bytes(), generation.0.to_be_bytes());
        MessageId::derive(secret, &[b"timer", &shard, &generation, name.as_bytes()])
    }
}

impl fmt::Debug for MessageIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageIds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId(1);
    const B: ShardId = ShardId(2);

    fn ids(secret: u8, before: u64) -> MessageIds {
        MessageIds {
            secret: [secret; 32],
            sends_before: BTreeMap::from([(A, before)]),
            timers_before: Seq(before),
        }
    }

    #[test]
    fn ids_are_stable_distinct_and_of_one_secret() {
        let (ours, others) = (ids(1, 0), ids(2, 0));
        assert_eq!(ours.of_send(A, B, 3), ids(1, 0).of_send(A, B, 3));
        assert_ne!(ours.of_send(A, B, 3), ours.of_send(B, A, 3));
        assert_ne!(ours.of_send(A, B, 3), others.of_send(A, B, 3));
        assert_eq!(
            ours.of_timer(A, Seq(3), "t"),
            ids(1, 0).of_timer(A, Seq(3), "t")
        );
        assert_ne!(
            ours.of_timer(A, Seq(3), "t"),
            others.of_timer(A, Seq(3), "t")
        );
        assert!(!format!("{ours:?}").contains('1'), "nobody logs the secret");
    }

    #[test]
    fn what_was_named_without_a_secret_keeps_its_id() {
        let ids = ids(7, 3);
        let (send, timer) = (ids.of_send(A, B, 3), ids.of_timer(A, Seq(3), "t"));
        assert_eq!(send.to_string(), "8e8a9096d642bcc8b968022dff85c5eb");
        assert_eq!(timer.to_string(), "3b0e73d5bf88f65c923dc679a5ab935f");
        assert_ne!(ids.of_send(A, B, 4), self::ids(8, 3).of_send(A, B, 4));
        assert_ne!(
            ids.of_timer(A, Seq(4), "t"),
            self::ids(8, 3).of_timer(A, Seq(4), "t")
        );
        assert_ne!(
            ids.of_send(B, A, 3),
            self::ids(8, 3).of_send(B, A, 3),
            "another source"
        );
    }
}
