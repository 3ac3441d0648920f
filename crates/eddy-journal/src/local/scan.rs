//! Tells, for one segment's bytes, where its sound batches end and what the rest is: nothing, a
//! torn write, or damage. It opens no file.
//!
//! At most one batch is ever unflushed. So a bad batch that has a sound one behind it was flushed
//! once: damage. A bad batch at the very end may be one whose flush never returned; then a part
//! of it is still the zeros that were there before. It counts as *torn*, and is dropped, when
//! - the file ends inside it, or
//! - its header is still zeros, or everything from some byte of its header on is, or
//! - it has more all-zero sectors than its header says, or its last byte (never zero) is zero.
//!
//! A last batch that arrived whole but has a wrong checksum was not torn: a bit flipped in it,
//! after a flush that may have been acknowledged. That is damage, and the journal refuses to
//! open, although the batch may happen to be one that nobody was told of. Two cases look like a
//! torn write and are not found: a disk that loses a whole flushed sector of the very last batch,
//! or turns one into zeros.

use super::format::{BATCH_HEADER, BatchHeader, Record, SEGMENT_HEADER, records, zero_sectors};

/// What lies at the place where a batch could begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A sound batch.
    Batch(BatchHeader),
    /// Zeros to the end of the file.
    End,
    /// A write that was never flushed.
    Torn,
    /// Flushed bytes have changed.
    Damaged(&'static str),
}

/// Looks at `at`, where batch `number` would begin.
pub(super) fn look(bytes: &[u8], at: usize, salt: u32, number: u64) -> At {
    let rest = bytes.get(at..).unwrap_or_default();
    if is_zero(rest) {
        return At::End;
    }
    let Some(header) = BatchHeader::decode(rest, salt) else {
        return without_header(rest, salt, number);
    };
    if header.number != number {
        return At::Damaged("a batch is out of order");
    }
    let Some(batch) = rest.get(..header.len()) else {
        return At::Torn;
    };
    let payload = &batch[BATCH_HEADER..];
    if crc32c::crc32c_append(salt, payload) == header.crc {
        return At::Batch(header);
    }
    if has_later_batch(rest, header.len(), salt, number) {
        return At::Damaged("a batch with a wrong checksum is followed by a sound one");
    }
    let zeros = zero_sectors(payload, (at + BATCH_HEADER) as u64);
    if payload.last() == Some(&0) || zeros > header.zero_sectors {
        return At::Torn;
    }
    At::Damaged("the last batch was written whole but its checksum is wrong")
}

/// `rest` is not all zero and does not begin with a sound header.
fn without_header(rest: &[u8], salt: u32, number: u64) -> At {
    let Some((header, behind)) = rest.split_at_checked(BATCH_HEADER) else {
        return At::Torn;
    };
    if is_zero(header) {
        return match has_later_batch(rest, BATCH_HEADER, salt, number) {
            true => At::Damaged("a batch is missing, a later one is there"),
            false => At::Torn,
        };
    }
    // A header lies in one sector, so it arrives whole or, with its payload, not at all.
    if header.last() == Some(&0) && is_zero(behind) {
        return At::Torn;
    }
    At::Damaged("the header of a batch has a wrong checksum")
}

/// Whether a sound batch with a higher number begins at or after `from`.
fn has_later_batch(rest: &[u8], from: usize, salt: u32, number: u64) -> bool {
    (from..rest.len()).step_by(BATCH_HEADER).any(|at| {
        BatchHeader::decode(&rest[at..], salt)
            .filter(|header| header.number > number)
            .and_then(|header| Some((header, rest[at..].get(BATCH_HEADER..header.len())?)))
            .is_some_and(|(header, payload)| crc32c::crc32c_append(salt, payload) == header.crc)
    })
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks_exact(64);
    chunks.all(|chunk| chunk == [0; 64]) && chunks.remainder().iter().all(|&byte| byte == 0)
}

/// How a segment's batches end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// Where the sound batches end.
    pub end: usize,
    /// Where the last sound batch begins.
    pub last_batch: usize,
    /// How many sound batches there are.
    pub batches: u64,
    /// Whether a torn write lies behind them.
    pub torn: bool,
}

/// Damage found while scanning: where, and what.
pub(super) type Damage = (usize, String);

/// Walks the batches of a segment, the first of which has number `first`, and hands each record
/// with its place to `visit`. `visit` returns whether this record ends the segment.
pub(super) fn scan(
    bytes: &[u8],
    salt: u32,
    first: u64,
    mut visit: impl FnMut(usize, &Record<'_>) -> Result<bool, String>,
) -> Result<Ending, Damage> {
    let mut ending = Ending {
        end: SEGMENT_HEADER,
        last_batch: SEGMENT_HEADER,
        batches: 0,
        torn: false,
    };
    loop {
        let at = ending.end;
        let header = match look(bytes, at, salt, first + ending.batches) {
            At::Batch(header) => header,
            At::End => return Ok(ending),
            At::Torn => {
                return Ok(Ending {
                    torn: true,
                    ..ending
                });
            }
            At::Damaged(what) => return Err((at, what.to_owned())),
        };
        let payload = at + BATCH_HEADER..at + header.len();
        let found = records(&bytes[payload.clone()], header.records, salt)
            .ok_or_else(|| (at, "a batch does not hold what its header says".to_owned()))?;
        let mut last = false;
        for (place, record) in found {
            let place = payload.start + place;
            last |= visit(place, &record).map_err(|what| (place, what))?;
        }
        ending.last_batch = at;
        ending.end = payload.end;
        ending.batches += 1;
        if last {
            return match is_zero(&bytes[ending.end..]) {
                true => Ok(ending),
                false => Err((
                    ending.end,
                    "there are bytes behind the segment's end".to_owned(),
                )),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::format::{BatchBuilder, Kind};
    use proptest::prelude::*;

    fn segment(batches: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = vec![0; SEGMENT_HEADER];
        let mut starts = Vec::new();
        let mut builder = BatchBuilder::default();
        for (seq, len) in (1u64..).zip(batches) {
            starts.push(bytes.len());
            builder.start(9);
            builder.push(Kind::Data, 0, seq, &vec![0x11; *len]);
            let batch = builder.finish(seq, bytes.len() as u64).to_vec();
            bytes.extend_from_slice(&batch);
        }
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        (bytes, starts)
    }

    fn ending(bytes: &[u8]) -> Result<Ending, Damage> {
        scan(bytes, 9, 1, |_, _| Ok(false))
    }

    #[test]
    fn a_tail_torn_at_any_byte_is_torn() {
        let (bytes, starts) = segment(&[100, 700, 1500]);
        let whole = ending(&bytes).expect("sound");
        assert_eq!(whole.batches, 3);
        for cut in starts[2]..whole.end {
            let mut zeroed = bytes.clone();
            zeroed[cut..].fill(0);
            for torn in [&zeroed[..], &bytes[..cut]] {
                let found = ending(torn).unwrap_or_else(|e| panic!("cut at {cut}: {e:?}"));
                assert_eq!((found.batches, found.end), (2, starts[2]), "cut at {cut}");
                assert_eq!(found.torn, cut > starts[2], "cut at {cut}");
            }
        }
    }

    #[test]
    fn any_lost_sectors_of_the_last_batch_are_torn() {
        let (bytes, starts) = segment(&[100, 3000]);
        let first = starts[1] / 512;
        let sectors = ending(&bytes).expect("sound").end.div_ceil(512) - first;
        for lost in 1u32..1 << sectors {
            let mut torn = bytes.clone();
            for sector in (0..sectors).filter(|sector| lost & (1 << sector) != 0) {
                let from = ((first + sector) * 512).max(starts[1]);
                torn[from..(first + sector + 1) * 512].fill(0);
            }
            let found = ending(&torn).unwrap_or_else(|e| panic!("lost {lost:b}: {e:?}"));
            assert_eq!(found.batches, 1, "lost {lost:b}");
        }
    }

    #[test]
    fn a_flipped_bit_in_any_byte_of_any_batch_is_damage() {
        let (bytes, starts) = segment(&[100, 700, 40]);
        let end = ending(&bytes).expect("sound").end;
        for at in starts[0]..end {
            for bit in [0, 7] {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(ending(&flipped).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_last_batch_of_zeros_with_a_flip_is_damage_too() {
        let mut bytes = vec![0; SEGMENT_HEADER];
        let mut builder = BatchBuilder::default();
        builder.start(9);
        builder.push(Kind::Data, 0, 1, &[0; 4000]);
        bytes.extend_from_slice(builder.finish(1, SEGMENT_HEADER as u64));
        bytes[SEGMENT_HEADER + 60] ^= 1;
        assert!(ending(&bytes).is_err());
    }

    #[test]
    fn a_flushed_batch_that_became_zeros_is_damage() {
        let (mut bytes, starts) = segment(&[100, 700, 40]);
        bytes[starts[1]..starts[2]].fill(0);
        assert!(ending(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn scanning_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let _ = ending(&bytes);
        }

        #[test]
        fn scanning_changed_bytes_never_panics(at in 512usize..2500, with: u8) {
            let (mut bytes, _) = segment(&[100, 700, 40]);
            bytes[at] = with;
            let _ = ending(&bytes);
        }
    }
}
