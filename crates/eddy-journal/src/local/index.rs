//! Where every record lies: an index in memory, 12 bytes per record that was not trimmed.
//! It knows no file format; files are held only to be read.

use crate::error::JournalError;
use crate::fs::File;
use crate::journal::Bounds;
use eddy_types::{Seq, ShardId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Place of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loc {
    /// Number of its segment.
    pub segment: u32,
    /// Where its header begins in the segment.
    pub offset: u32,
    /// Length of its data.
    pub len: u32,
}

/// The records of one shard.
#[derive(Debug)]
pub(super) struct ShardIndex {
    /// Trimmed through this sequence, as callers see it.
    pub trimmed: u64,
    /// Sequence of the first entry. All before it are durably trimmed.
    base: u64,
    entries: VecDeque<Loc>,
}

impl Default for ShardIndex {
    fn default() -> Self {
        Self::starting_after(0, 0)
    }
}

impl ShardIndex {
    /// A shard whose last record is `last`, none of which is at hand.
    pub(super) fn starting_after(last: u64, trimmed: u64) -> Self {
        Self {
            trimmed,
            base: last + 1,
            entries: VecDeque::new(),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.base - 1 + self.entries.len() as u64
    }

    /// The durable trim: everything up to this is gone for good.
    pub(super) fn durably_trimmed(&self) -> u64 {
        self.base - 1
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            first: Seq(self.trimmed + 1),
            last: Seq(self.last()),
        }
    }

    /// Places of the records from `from` on, at most `max_bytes` of data but at least one.
    fn page(&self, from: u64, max_bytes: usize) -> Vec<Loc> {
        let skip = usize::try_from(from.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let mut bytes = 0usize;
        let mut page = Vec::new();
        for loc in self.entries.range(skip.min(self.entries.len())..) {
            bytes = bytes.saturating_add(loc.len as usize);
            if bytes > max_bytes && !page.is_empty() {
                break;
            }
            page.push(*loc);
        }
        page
    }
}

/// A segment that can be read.
pub(super) struct Segment {
    pub number: u32,
    pub salt: u32,
    pub file: Arc<dyn File>,
    /// Records in it that are not durably trimmed.
    pub live: u64,
}

/// All shards and segments.
#[derive(Default)]
pub(super) struct Index {
    pub shards: BTreeMap<ShardId, ShardIndex>,
    /// Numbered without gaps, the one being written last.
    pub segments: VecDeque<Segment>,
}

impl Index {
    pub(super) fn bounds(&self, shard: ShardId) -> Bounds {
        self.shards.get(&shard).map_or(
            Bounds {
                first: Seq(1),
                last: Seq(0),
            },
            ShardIndex::bounds,
        )
    }

    /// Adds a durable record to the newest segment.
    pub(super) fn push(&mut self, shard: ShardId, loc: Loc) {
        self.shards.entry(shard).or_default().entries.push_back(loc);
        if let Some(segment) = self.segments.back_mut() {
            segment.live += 1;
        }
    }

    /// The places of a page and the first sequence of it.
    pub(super) fn page(
        &self,
        shard: ShardId,
        from: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Loc>, JournalError> {
        let bounds = self.bounds(shard);
        if from < bounds.first {
            return Err(JournalError::Trimmed {
                shard,
                from,
                first: bounds.first,
            });
        }
        Ok(self
            .shards
            .get(&shard)
            .map_or_else(Vec::new, |index| index.page(from.0, max_bytes)))
    }

    pub(super) fn segment(&self, number: u32) -> Option<&Segment> {
        let first = self.segments.front()?.number;
        self.segments.get(number.checked_sub(first)? as usize)
    }

    /// Hides records from readers; `false` when there was nothing to hide.
    pub(super) fn hide(&mut self, shard: ShardId, through: Seq) -> Result<bool, JournalError> {
        let last = self.bounds(shard).last;
        if through > last {
            return Err(JournalError::OutOfOrder {
                shard,
                expected: through,
                next: last,
            });
        }
        let index = self.shards.entry(shard).or_default();
        let news = through.0 > index.trimmed;
        index.trimmed = index.trimmed.max(through.0);
        Ok(news)
    }

    /// Forgets records whose trim is durable.
    pub(super) fn forget(&mut self, shard: ShardId, through: u64) {
        let first = self.segments.front().map_or(0, |segment| segment.number);
        let Some(index) = self.shards.get_mut(&shard) else {
            return;
        };
        index.trimmed = index.trimmed.max(through);
        while index.base <= through {
            let Some(loc) = index.entries.pop_front() else {
                break;
            };
            index.base += 1;
            if let Some(segment) = self.segments.get_mut((loc.segment - first) as usize) {
                segment.live -= 1;
            }
        }
    }

    /// Takes away the oldest segment when nothing in it is needed any more.
    pub(super) fn pop_dead(&mut self) -> Option<Segment> {
        let dead = self.segments.len() > 1 && self.segments.front()?.live == 0;
        if dead {
            self.segments.pop_front()
        } else {
            None
        }
    }
}
