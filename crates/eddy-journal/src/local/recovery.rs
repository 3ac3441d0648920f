//! Opening a journal's folder: reads every segment, builds the index, repairs a torn tail.
//! What is torn and what is damage is decided in `scan`. Nothing is changed when it refuses.

use super::format::{BatchBuilder, FORMAT, Kind, Record, SegmentHeader};
use super::index::{Index, Loc, Segment, ShardIndex};
use super::scan::{Ending, scan};
use super::segment::{Active, file_name, file_number, is_unfinished, mark, zero};
use crate::error::JournalError;
use crate::fs::{File, FileSystem};
use eddy_types::ShardId;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What was found in the folder.
pub(super) struct Recovered {
    pub index: Index,
    /// The newest segment; none in an empty folder.
    pub active: Option<Active>,
    /// The number of the next batch.
    pub next_batch: u64,
}

/// Reads the folder. With an error, nothing in it was changed.
pub(super) fn recover(fs: &dyn FileSystem, dir: &Path) -> Result<Recovered, JournalError> {
    let names = fs
        .list(dir)
        .map_err(|e| JournalError::io("listing the journal's folder", &e))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| file_number(name)).collect();
    numbers.sort_unstable();
    let mut replay = Replay::default();
    for number in numbers {
        replay.segment(fs, dir, number)?;
    }
    replay.check_complete()?;
    replay
        .repair(fs, dir, &names)
        .map_err(|e| JournalError::io("repairing the journal", &e))?;
    Ok(replay.finish())
}

/// How a segment that was read ends.
struct Tail {
    number: u32,
    header: SegmentHeader,
    file: Arc<dyn File>,
    /// Length of the file.
    len: u64,
    ending: Ending,
    /// Whether its last record says that a next segment exists.
    closed: bool,
}

impl Tail {
    /// The number of the batch behind the last sound one.
    fn next_batch(&self) -> u64 {
        self.header.first_batch + self.ending.batches
    }

    /// Whether it holds nothing but the batch it was made with.
    fn is_fresh(&self) -> bool {
        self.ending.batches == 1
    }

    /// Clears what is behind the sound batches and makes the last of them surely durable: a flush
    /// that failed before the restart may have left it in the system's memory only.
    fn settle(&self) -> io::Result<()> {
        let (from, end) = (self.ending.last_batch as u64, self.ending.end as u64);
        let mut batch = vec![0; self.ending.end - self.ending.last_batch];
        self.file.read_exact_at(&mut batch, from)?;
        self.file.write_all_at(&batch, from)?;
        if self.ending.torn {
            tracing::warn!(
                segment = self.number,
                offset = end,
                "dropped a record batch whose flush had not finished when the node stopped"
            );
            zero(&*self.file, end, self.len)?;
        }
        self.file.sync_data()
    }

    fn active(&self) -> Active {
        Active {
            number: self.number,
            salt: self.header.salt,
            file: Arc::clone(&self.file),
            pos: self.ending.end as u64,
            zeroed: self.len,
            fresh: self.is_fresh(),
        }
    }
}

#[derive(Default)]
struct Replay {
    index: Index,
    /// The newest segment read, and the one before it.
    tail: Option<Tail>,
    before: Option<Tail>,
}

impl Replay {
    fn segment(
        &mut self,
        fs: &dyn FileSystem,
        dir: &Path,
        number: u64,
    ) -> Result<(), JournalError> {
        let name = file_name(number);
        let corrupt = |offset: usize, what: &str| corrupt(number, offset as u64, what);
        let io = |e: &io::Error| JournalError::io(&format!("reading {name}"), e);
        let file = fs.open(&dir.join(&name)).map_err(|e| io(&e))?;
        let bytes = read_all(&*file).map_err(|e| io(&e))?;
        let header = SegmentHeader::decode(&bytes)
            .ok_or_else(|| corrupt(0, "it does not begin with a segment header"))?;
        if header.format > FORMAT {
            let (found, supported) = (header.format, FORMAT);
            return Err(JournalError::Incompatible {
                file: name,
                found,
                supported,
            });
        }
        if header.number != number {
            return Err(corrupt(16, "its header has another segment's number"));
        }
        self.follows(&header)?;
        let small = u32::try_from(number)
            .ok()
            .filter(|_| u32::try_from(bytes.len()).is_ok());
        let number = small.ok_or_else(|| corrupt(0, "it is larger than a segment can be"))?;
        let segment = Segment {
            number,
            salt: header.salt,
            file: Arc::clone(&file),
            live: 0,
        };
        self.index.segments.push_back(segment);
        let mut closed = false;
        let ending = scan(&bytes, header.salt, header.first_batch, |at, record| {
            closed |= record.kind == Kind::Next;
            self.record(number, at, record).map(|()| closed)
        })
        .map_err(|(at, what)| corrupt(at, &what))?;
        if ending.batches == 0 {
            return Err(corrupt(ending.end, "its first batch is missing"));
        }
        let len = bytes.len() as u64;
        self.before = self.tail.replace(Tail {
            number,
            header,
            file,
            len,
            ending,
            closed,
        });
        self.check_closed()
    }

    /// Checks that a segment with this header comes next.
    fn follows(&self, header: &SegmentHeader) -> Result<(), JournalError> {
        let Some(tail) = &self.tail else {
            return Ok(());
        };
        if header.number != tail.header.number + 1 {
            return Err(missing(tail.header.number + 1));
        }
        // When the node stopped while this segment was made, the one before is not closed yet.
        let skipped = u64::from(!tail.closed);
        if header.first_batch != tail.next_batch() + skipped {
            let what = "its first batch does not follow the last one of the segment before";
            return Err(corrupt(header.number, 24, what));
        }
        Ok(())
    }

    /// Checks that the segment before was closed, or that nothing was written to this one yet.
    fn check_closed(&self) -> Result<(), JournalError> {
        match (&self.before, &self.tail) {
            (Some(before), Some(tail)) if !before.closed && !tail.is_fresh() => {
                let what = "the last batch was flushed once and is not sound any more";
                Err(corrupt(
                    before.header.number,
                    before.ending.end as u64,
                    what,
                ))
            }
            _ => Ok(()),
        }
    }

    fn record(&mut self, segment: u32, at: usize, record: &Record<'_>) -> Result<(), String> {
        let shard = ShardId(record.shard);
        match record.kind {
            Kind::Next | Kind::Seal => Ok(()),
            Kind::Base => self.base(shard, record),
            Kind::Data => {
                let last = self.index.bounds(shard).last.0;
                if record.seq != last + 1 {
                    let Record { seq, .. } = record;
                    return Err(format!("record {seq} of shard {} follows {last}", shard.0));
                }
                let offset = u32::try_from(at).expect("the file's length was checked");
                let len = u32::try_from(record.data.len()).expect("shorter than its file");
                self.index.push(
                    shard,
                    Loc {
                        segment,
                        offset,
                        len,
                    },
                );
                Ok(())
            }
            Kind::Trim => match self.index.shards.get_mut(&shard) {
                Some(index) if record.seq <= index.last() => {
                    index.trimmed = index.trimmed.max(record.seq);
                    Ok(())
                }
                _ => Err(format!(
                    "shard {} was trimmed ahead of its records",
                    shard.0
                )),
            },
        }
    }

    /// Where a shard stood when a segment was made.
    fn base(&mut self, shard: ShardId, record: &Record<'_>) -> Result<(), String> {
        let trimmed = record.data.try_into().map(u64::from_le_bytes);
        let trimmed = trimmed.map_err(|_| "a base record has a wrong length".to_owned())?;
        if self.tail.is_none() {
            let index = ShardIndex::starting_after(record.seq, trimmed);
            self.index.shards.insert(shard, index);
        }
        let last = self.index.bounds(shard).last.0;
        if last != record.seq || trimmed > last {
            let seq = record.seq;
            return Err(format!(
                "shard {} should end at {seq} here but ends at {last}",
                shard.0
            ));
        }
        Ok(())
    }

    /// Checks that no record is missing at either end.
    fn check_complete(&self) -> Result<(), JournalError> {
        if let Some(tail) = self.tail.as_ref().filter(|tail| tail.closed) {
            return Err(missing(tail.header.number + 1));
        }
        let oldest = self
            .index
            .segments
            .front()
            .map_or(0, |segment| u64::from(segment.number));
        match self
            .index
            .shards
            .values()
            .any(|shard| shard.trimmed < shard.durably_trimmed())
        {
            true => Err(missing(oldest.saturating_sub(1))),
            false => Ok(()),
        }
    }

    fn repair(&mut self, fs: &dyn FileSystem, dir: &Path, names: &[String]) -> io::Result<()> {
        for name in names.iter().filter(|name| is_unfinished(name)) {
            fs.remove(&dir.join(name))?;
        }
        let Some(tail) = &self.tail else {
            return Ok(());
        };
        if let Some(before) = &self.before {
            before.settle()?;
            if !before.closed {
                let mut next = BatchBuilder::default();
                mark(
                    &mut next,
                    before.header.salt,
                    Kind::Next,
                    u64::from(tail.number),
                );
                before.active().write(&mut next, before.next_batch(), 1)?;
            }
        }
        tail.settle()?;
        fs.sync_dir(dir)
    }

    fn finish(mut self) -> Recovered {
        let trims: Vec<_> = self
            .index
            .shards
            .iter()
            .map(|(shard, index)| (*shard, index.trimmed))
            .collect();
        for (shard, trimmed) in trims {
            self.index.forget(shard, trimmed);
        }
        Recovered {
            active: self.tail.as_ref().map(Tail::active),
            next_batch: self.tail.as_ref().map_or(1, Tail::next_batch),
            index: self.index,
        }
    }
}

fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn corrupt(number: u64, offset: u64, what: &str) -> JournalError {
    JournalError::Corrupt {
        file: file_name(number),
        offset,
        what: what.to_owned(),
    }
}

fn missing(number: u64) -> JournalError {
    corrupt(number, 0, "the file is missing")
}
