//! Which sends from other shards took effect here. Marks never expire by time: they are dropped
//! only below the floor, the lowest number that the source has not settled. One send that pauses for
//! years holds the floor for all; what took effect above it is kept as ranges, so that this costs nothing.

use crate::view::InboxRow;
use eddy_types::ShardId;
use std::collections::{BTreeMap, BTreeSet};

impl InboxRow {
    /// Whether this number has taken effect or is settled otherwise.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        seq < self.floor || self.above.contains(seq)
    }

    /// Notes that `seq` took effect and that everything below `floor` is settled.
    pub fn mark(&mut self, seq: u64, floor: u64) {
        self.above.insert(seq, seq);
        self.floor = self.above.advance(self.floor.max(floor));
    }
}

/// What is known of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Never seen.
    New,
    /// Waiting or running, or committed and not yet durable: it will be answered.
    UnderWay,
    /// Took effect and is durable.
    Done,
}

/// The receiving side of sends.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    rows: BTreeMap<ShardId, InboxRow>,
    waiting: BTreeSet<(ShardId, u64)>,
    committing: BTreeSet<(ShardId, u64)>,
}

impl Inbox {
    pub(crate) fn load(rows: Vec<(ShardId, InboxRow)>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn seen(&self, source: ShardId, seq: u64) -> Seen {
        let at = (source, seq);
        if self.waiting.contains(&at) || self.committing.contains(&at) {
            return Seen::UnderWay;
        }
        match self.rows.get(&source) {
            Some(row) if row.contains(seq) => Seen::Done,
            _ => Seen::New,
        }
    }

    /// A delivery waits in a mailbox.
    pub(crate) fn queued(&mut self, source: ShardId, seq: u64) {
        self.waiting.insert((source, seq));
    }

    /// A delivery took effect in a record that is not durable yet.
    pub(crate) fn committed(&mut self, source: ShardId, seq: u64, floor: u64) {
        self.waiting.remove(&(source, seq));
        self.committing.insert((source, seq));
        self.rows.entry(source).or_default().mark(seq, floor);
    }

    /// A delivery is over: its record is durable, or it had no effect and may come again.
    pub(crate) fn ended(&mut self, source: ShardId, seq: u64) {
        self.waiting.remove(&(source, seq));
        self.committing.remove(&(source, seq));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order of arrival, exactly what was marked or lies below the floor is known.
        #[test]
        fn marks_are_a_set_with_a_floor(seqs in proptest::collection::vec(1u64..40, 0..60), floor in 0u64..20) {
            let mut row = InboxRow::default();
            for seq in &seqs {
                row.mark(*seq, floor);
            }
            for seq in 1..50 {
                let floor = if seqs.is_empty() { 1 } else { floor };
                prop_assert_eq!(row.contains(seq), seqs.contains(&seq) || seq < floor);
            }
            prop_assert!(row.above.iter().all(|(first, _)| first > row.floor));
        }
    }

    #[test]
    fn a_send_that_stays_on_its_way_costs_one_gap_however_many_come_after_it() {
        let mut row = InboxRow::default();
        for seq in (2..=50_000).chain(50_002..=100_000) {
            row.mark(seq, 1);
        }
        assert_eq!(row.floor, 1);
        assert!(row.above.iter().eq([(2, 50_000), (50_002, 100_000)]));
        row.mark(1, 1);
        assert_eq!(row.floor, 50_001);
        row.mark(100_001, 60_000);
        assert_eq!(
            row,
            InboxRow {
                floor: 100_002,
                ..InboxRow::default()
            }
        );
    }
}
