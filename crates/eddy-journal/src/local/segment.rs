//! Segment files: their names, how one is made, and how a batch is written to the newest one.
//!
//! The file grows by chunks of zeros written ahead of the batches, because a flush is slow when
//! the file's length or extents change with it.

use super::format::{BatchBuilder, FORMAT, Kind, MARK_BATCH, SEGMENT_HEADER, SegmentHeader};
use crate::fs::{APPEND_BLOCK, File, FileSystem};
use std::io;
use std::path::Path;
use std::sync::Arc;

const SUFFIX: &str = ".seg";
const UNFINISHED: &str = ".seg.tmp";

/// The name of a segment's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:010}{SUFFIX}")
}

/// The number of the segment with this file name; `None` when it names no segment.
pub(super) fn file_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// Whether this is a segment whose making was cut short.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

/// The segment being written.
pub(super) struct Active {
    pub number: u32,
    pub salt: u32,
    pub file: Arc<dyn File>,
    /// Where the next batch goes.
    pub pos: u64,
    /// Zeros are written up to here: the length of the file.
    pub zeroed: u64,
    /// It holds nothing but the batch it was made with.
    pub fresh: bool,
}

impl Active {
    /// Makes a segment that begins with the batch in `base`, durably, name included.
    pub(super) fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        header: &SegmentHeader,
        base: &mut BatchBuilder,
        grow: u64,
    ) -> io::Result<Self> {
        let name = file_name(header.number);
        let unfinished = dir.join(format!("{name}.tmp"));
        let file = fs.create(&unfinished)?;
        let batch = base.finish(header.first_batch, SEGMENT_HEADER as u64);
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(batch);
        let pos = bytes.len() as u64;
        let zeroed = pos.next_multiple_of(grow);
        bytes.resize(usize::try_from(zeroed).map_err(io::Error::other)?, 0);
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        fs.rename(&unfinished, &dir.join(name))?;
        fs.sync_dir(dir)?;
        let number = u32::try_from(header.number).map_err(io::Error::other)?;
        Ok(Self {
            number,
            salt: header.salt,
            file,
            pos,
            zeroed,
            fresh: true,
        })
    }

    /// Whether a batch of this length leaves the segment within its size. A fresh segment takes
    /// any batch: the size is where a segment ends, not the largest batch.
    pub(super) fn has_room(&self, batch: usize, segment_bytes: u64) -> bool {
        self.fresh || self.pos + (batch + MARK_BATCH) as u64 <= segment_bytes
    }

    /// Writes a batch and flushes it. Returns where it lies.
    pub(super) fn write(
        &mut self,
        batch: &mut BatchBuilder,
        number: u64,
        grow: u64,
    ) -> io::Result<u64> {
        let at = self.pos;
        let bytes = batch.finish(number, at);
        let end = at + bytes.len() as u64;
        if end.next_multiple_of(APPEND_BLOCK as u64) <= self.zeroed {
            self.file.append_at(bytes, at)?;
        } else {
            self.zero_up_to(end, grow)?;
            self.file.write_all_at(bytes, at)?;
        }
        self.file.sync_data()?;
        self.pos = end;
        self.fresh = false;
        Ok(at)
    }

    /// Writes zeros so that the file reaches `end`. The next flush makes them durable.
    fn zero_up_to(&mut self, end: u64, grow: u64) -> io::Result<()> {
        if end <= self.zeroed {
            return Ok(());
        }
        let target = end.next_multiple_of(grow);
        zero(&*self.file, self.zeroed, target)?;
        self.zeroed = target;
        Ok(())
    }

    /// Grows the file while nobody waits, so that no batch has to. Returns whether it did.
    pub(super) fn grow_ahead(&mut self, grow: u64, segment_bytes: u64) -> io::Result<bool> {
        if self.zeroed - self.pos >= grow / 2 || self.zeroed >= segment_bytes {
            return Ok(false);
        }
        self.zero_up_to(self.zeroed + 1, grow)?;
        self.file.sync_data()?;
        Ok(true)
    }
}

/// Writes zeros over `from..to`.
pub(super) fn zero(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut at = from;
    while at < to {
        let len = (to - at).min(ZEROS.len() as u64);
        file.write_all_at(
            &ZEROS[..usize::try_from(len).map_err(io::Error::other)?],
            at,
        )?;
        at += len;
    }
    Ok(())
}

/// The header of a segment of the current format.
pub(super) fn header(number: u64, salt: u32, first_batch: u64) -> SegmentHeader {
    SegmentHeader {
        format: FORMAT,
        salt,
        number,
        first_batch,
    }
}

/// Starts a batch that holds one mark: `next` with a segment's number, or `seal`.
pub(super) fn mark(batch: &mut BatchBuilder, salt: u32, kind: Kind, number: u64) {
    batch.start(salt);
    batch.push(kind, 0, number, &[]);
}
