//! Reads pages of records back from segments. Records that lie close together are read at once.

use super::format::{RECORD_HEADER, Record};
use super::index::Loc;
use super::segment::file_name;
use super::writer::Shared;
use crate::error::JournalError;
use crate::fs::File;
use crate::journal::Entry;
use bytes::Bytes;
use eddy_types::{Seq, ShardId};
use std::sync::Arc;

/// Records farther apart than this are read one by one.
const MAX_GAP: u32 = 16 << 10;
/// Most bytes read at once, unless one record is larger.
const MAX_SPAN: u32 = 4 << 20;

/// Records in one segment, read at once.
struct Run {
    file: Arc<dyn File>,
    salt: u32,
    locs: Vec<Loc>,
}

fn end(loc: &Loc) -> u32 {
    loc.offset + RECORD_HEADER as u32 + loc.len
}

/// One page of a shard.
pub(super) fn read(
    shared: &Shared,
    shard: ShardId,
    from: Seq,
    max_bytes: usize,
) -> Result<Vec<Entry>, JournalError> {
    let mut seq = from;
    let mut entries = Vec::new();
    for run in runs(shared, shard, from, max_bytes)? {
        run.read(shard, &mut seq, &mut entries)?;
    }
    Ok(entries)
}

fn runs(
    shared: &Shared,
    shard: ShardId,
    from: Seq,
    max_bytes: usize,
) -> Result<Vec<Run>, JournalError> {
    let index = shared.index.read();
    let mut runs: Vec<Run> = Vec::new();
    for loc in index.page(shard, from, max_bytes)? {
        match runs.last_mut() {
            Some(run) if run.takes(&loc) => run.locs.push(loc),
            _ => {
                let segment = index
                    .segment(loc.segment)
                    .expect("live records keep a segment");
                let file = Arc::clone(&segment.file);
                runs.push(Run {
                    file,
                    salt: segment.salt,
                    locs: vec![loc],
                });
            }
        }
    }
    Ok(runs)
}

impl Run {
    fn takes(&self, loc: &Loc) -> bool {
        let (Some(first), Some(last)) = (self.locs.first(), self.locs.last()) else {
            return true;
        };
        loc.segment == last.segment
            && loc.offset - end(last) <= MAX_GAP
            && end(loc) - first.offset <= MAX_SPAN
    }

    fn read(
        &self,
        shard: ShardId,
        seq: &mut Seq,
        entries: &mut Vec<Entry>,
    ) -> Result<(), JournalError> {
        let (Some(first), Some(last)) = (self.locs.first(), self.locs.last()) else {
            return Ok(());
        };
        let name = || file_name(u64::from(first.segment));
        let mut bytes = vec![0; (end(last) - first.offset) as usize];
        self.file
            .read_exact_at(&mut bytes, u64::from(first.offset))
            .map_err(|e| JournalError::io(&format!("reading {}", name()), &e))?;
        let bytes = Bytes::from(bytes);
        for loc in &self.locs {
            let at = (loc.offset - first.offset) as usize;
            let sound = Record::decode(&bytes[at..], self.salt)
                .is_some_and(|record| record.shard == shard.0 && record.seq == seq.0);
            if !sound {
                let what = format!("record {} of shard {} is not there", seq.0, shard.0);
                let offset = u64::from(loc.offset);
                return Err(JournalError::Corrupt {
                    file: name(),
                    offset,
                    what,
                });
            }
            let data = at + RECORD_HEADER..at + RECORD_HEADER + loc.len as usize;
            entries.push(Entry {
                seq: *seq,
                record: bytes.slice(data),
            });
            *seq = seq.next();
        }
        Ok(())
    }
}
