//! The bytes of a segment, format 1. All numbers are little-endian. No file is touched here.
//!
//! ```text
//! segment   +--------------------+---------+---------+-----+------------------+
//!           | header, 512 bytes  | batch n | batch   | ... | zeros to the end |
//!           +--------------------+---------+---------+-----+------------------+
//! header     0 magic "EDDYJRNL"      8 format u32       12 salt u32
//!           16 segment number u64   24 number of its first batch u64
//!           32 crc u32 of bytes 0..32, then zeros
//! batch     begins at a multiple of 32 and is a multiple of 32 long
//!            0 magic "EDBT"          4 payload length u32      8 batch number u64
//!           16 record count u32     20 zero sectors u32       24 crc u32 of the payload
//!           28 crc u32 of bytes 0..28
//!           32 payload: the records, then 1 to 32 bytes 0xEB
//! record     0 data length u32       4 crc u32 of bytes 8.. with the data
//!            8 sequence u64         16 shard u16
//!           18 kind u8              19 zero u8                20 data
//! ```
//! Record kinds: 0 data; 1 base (first batch of a segment, one per shard: the sequence is the
//! shard's last one, the data its trimmed-through u64); 2 trim (the sequence is trimmed through);
//! 3 next (the segment is full and the segment with that number exists); 4 seal (clean shutdown).
//!
//! Batches are numbered without gaps across segments. Every crc is CRC-32C started with the
//! segment's salt, so that a record which happens to hold a copy of a journal is never taken for
//! a batch. Three things make a torn write tell itself apart from damage, see `recovery`: a
//! batch's header never spans two sectors, its last byte is never zero, and "zero sectors" counts
//! the whole 512-byte sectors of the file inside the batch that are all zero as written.

use crc32c::crc32c_append;

/// The format this version writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;
/// Smallest unit that a disk writes whole.
pub(super) const SECTOR: usize = 512;
/// Length of a segment's header.
pub(super) const SEGMENT_HEADER: usize = SECTOR;
/// Length of a batch's header, and the unit of every batch's place and length.
pub(super) const BATCH_HEADER: usize = 32;
/// Length of a record's header.
pub(super) const RECORD_HEADER: usize = 20;
/// Length of a batch that holds one `next` or `seal` record.
pub(super) const MARK_BATCH: usize = 64;

const SEGMENT_MAGIC: &[u8; 8] = b"EDDYJRNL";
const BATCH_MAGIC: &[u8; 4] = b"EDBT";
const PAD: u8 = 0xEB;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub format: u32,
    pub salt: u32,
    pub number: u64,
    pub first_batch: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&self.format.to_le_bytes());
        out[12..16].copy_from_slice(&self.salt.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_batch.to_le_bytes());
        let crc = crc32c_append(self.salt, &out[..32]);
        out[32..36].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` when the bytes are no segment header. The format may be newer than ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SEGMENT_HEADER)?;
        let header = Self {
            format: u32_at(bytes, 8),
            salt: u32_at(bytes, 12),
            number: u64_at(bytes, 16),
            first_batch: u64_at(bytes, 24),
        };
        let crc_ok = u32_at(bytes, 32) == crc32c_append(header.salt, &bytes[..32]);
        let rest_ok = bytes[36..].iter().all(|&byte| byte == 0);
        (bytes.starts_with(SEGMENT_MAGIC) && crc_ok && rest_ok).then_some(header)
    }
}

/// What the header of a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub payload: u32,
    pub number: u64,
    pub records: u32,
    pub zero_sectors: u32,
    pub crc: u32,
}

impl BatchHeader {
    fn encode(&self, salt: u32) -> [u8; BATCH_HEADER] {
        let mut out = [0; BATCH_HEADER];
        out[..4].copy_from_slice(BATCH_MAGIC);
        out[4..8].copy_from_slice(&self.payload.to_le_bytes());
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..20].copy_from_slice(&self.records.to_le_bytes());
        out[20..24].copy_from_slice(&self.zero_sectors.to_le_bytes());
        out[24..28].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32c_append(salt, &out[..28]);
        out[28..32].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` when the bytes are no sound batch header.
    pub(super) fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER)?;
        let crc_ok = u32_at(bytes, 28) == crc32c_append(salt, &bytes[..28]);
        (bytes.starts_with(BATCH_MAGIC) && crc_ok).then(|| Self {
            payload: u32_at(bytes, 4),
            number: u64_at(bytes, 8),
            records: u32_at(bytes, 16),
            zero_sectors: u32_at(bytes, 20),
            crc: u32_at(bytes, 24),
        })
    }

    /// Length of the whole batch.
    pub(super) fn len(&self) -> usize {
        BATCH_HEADER + self.payload as usize
    }
}

/// How many whole sectors of the file inside `bytes`, which lie at `offset`, are all zero.
pub(super) fn zero_sectors(bytes: &[u8], offset: u64) -> u32 {
    let into = usize::try_from(offset % SECTOR as u64).expect("less than a sector");
    let skip = (SECTOR - into) % SECTOR;
    let Some(aligned) = bytes.get(skip..) else {
        return 0;
    };
    let zero = |sector: &&[u8]| sector.iter().all(|&byte| byte == 0);
    u32::try_from(aligned.chunks_exact(SECTOR).filter(zero).count()).unwrap_or(u32::MAX)
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Data = 0,
    Base = 1,
    Trim = 2,
    Next = 3,
    Seal = 4,
}

impl Kind {
    fn decode(byte: u8) -> Option<Self> {
        [Self::Data, Self::Base, Self::Trim, Self::Next, Self::Seal]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// One record as it lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub kind: Kind,
    pub shard: u16,
    pub seq: u64,
    pub data: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the front of `bytes`, checked; `None` when it is not sound.
    pub(super) fn decode(bytes: &'a [u8], salt: u32) -> Option<Self> {
        let header = bytes.get(..RECORD_HEADER)?;
        let len = u32_at(header, 0) as usize;
        let whole = bytes.get(..RECORD_HEADER.checked_add(len)?)?;
        let crc_ok = u32_at(header, 4) == crc32c_append(salt, &whole[8..]);
        if !crc_ok || header[19] != 0 {
            return None;
        }
        Some(Self {
            kind: Kind::decode(header[18])?,
            shard: u16::from_le_bytes([header[16], header[17]]),
            seq: u64_at(header, 8),
            data: &whole[RECORD_HEADER..],
        })
    }

    /// Its length in a segment.
    pub(super) fn len(&self) -> usize {
        RECORD_HEADER + self.data.len()
    }
}

/// The records of a batch with their places in `payload`, or `None` when they are not exactly
/// `count` sound ones followed by the padding.
pub(super) fn records(payload: &[u8], count: u32, salt: u32) -> Option<Vec<(usize, Record<'_>)>> {
    let mut found = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let record = Record::decode(&payload[at..], salt)?;
        found.push((at, record));
        at += record.len();
    }
    let pad = &payload[at..];
    let pad_ok = (1..=BATCH_HEADER).contains(&pad.len()) && pad.iter().all(|&byte| byte == PAD);
    pad_ok.then_some(found)
}

/// Builds one batch in a buffer that is used again and again.
#[derive(Default)]
pub(super) struct BatchBuilder {
    bytes: Vec<u8>,
    records: u32,
    salt: u32,
}

impl BatchBuilder {
    /// Starts a batch for a segment with this salt.
    pub(super) fn start(&mut self, salt: u32) {
        self.bytes.clear();
        self.bytes.resize(BATCH_HEADER, 0);
        self.records = 0;
        self.salt = salt;
    }

    /// Adds a record and returns its place in the batch.
    pub(super) fn push(&mut self, kind: Kind, shard: u16, seq: u64, data: &[u8]) -> usize {
        let at = self.bytes.len();
        let len = u32::try_from(data.len()).expect("records are at most 1,000,000 bytes");
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&seq.to_le_bytes());
        self.bytes.extend_from_slice(&shard.to_le_bytes());
        self.bytes.extend_from_slice(&[kind as u8, 0]);
        self.bytes.extend_from_slice(data);
        let crc = crc32c_append(self.salt, &self.bytes[at + 8..]);
        self.bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        self.records += 1;
        at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Length so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The length it will have when finished.
    pub(super) fn finished_len(&self) -> usize {
        (self.bytes.len() + 1).next_multiple_of(BATCH_HEADER)
    }

    /// Completes the batch, which will lie at `offset` of its segment.
    pub(super) fn finish(&mut self, number: u64, offset: u64) -> &[u8] {
        self.bytes.resize(self.finished_len(), PAD);
        let payload = &self.bytes[BATCH_HEADER..];
        let header = BatchHeader {
            payload: u32::try_from(payload.len()).expect("a batch is far below 4 GiB"),
            number,
            records: self.records,
            // The header's own sector is never zero, so the payload's sectors are all there are.
            zero_sectors: zero_sectors(payload, offset + BATCH_HEADER as u64),
            crc: crc32c_append(self.salt, payload),
        };
        let header = header.encode(self.salt);
        self.bytes[..BATCH_HEADER].copy_from_slice(&header);
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(datas: &[Vec<u8>], salt: u32) -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        builder.start(salt);
        for (seq, data) in (1..).zip(datas) {
            builder.push(Kind::Data, 3, seq, data);
        }
        builder.finish(7, 544).to_vec()
    }

    #[test]
    fn a_mark_batch_has_the_length_that_is_reserved_for_it() {
        let mut builder = BatchBuilder::default();
        builder.start(0);
        builder.push(Kind::Next, 0, 2, &[]);
        assert_eq!(builder.finished_len(), MARK_BATCH);
    }

    #[test]
    fn only_whole_sectors_of_the_file_count_as_zero() {
        assert_eq!(zero_sectors(&[0; 1024], 0), 2);
        assert_eq!(zero_sectors(&[0; 1024], 32), 1);
        assert_eq!(zero_sectors(&[0; 100], 32), 0);
    }

    proptest! {
        #[test]
        fn batches_round_trip(
            datas in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..5),
            salt: u32,
        ) {
            let bytes = batch(&datas, salt);
            let header = BatchHeader::decode(&bytes, salt).expect("sound");
            prop_assert_eq!(header.len(), bytes.len());
            prop_assert_eq!(bytes.len() % BATCH_HEADER, 0);
            prop_assert_ne!(bytes.last(), Some(&0));
            let found = records(&bytes[BATCH_HEADER..], header.records, salt).expect("sound");
            let got: Vec<Vec<u8>> = found.iter().map(|(_, r)| r.data.to_vec()).collect();
            prop_assert_eq!(got, datas);
            prop_assert!(BatchHeader::decode(&bytes, salt ^ 1).is_none());
        }

        #[test]
        fn segment_headers_round_trip(salt: u32, number: u64, first_batch: u64) {
            let header = SegmentHeader { format: FORMAT, salt, number, first_batch };
            prop_assert_eq!(SegmentHeader::decode(&header.encode()), Some(header));
        }

        #[test]
        fn decoders_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), count: u32) {
            let _ = SegmentHeader::decode(&bytes);
            let _ = BatchHeader::decode(&bytes, 0);
            let _ = Record::decode(&bytes, 0);
            let _ = records(&bytes, count, 0);
        }
    }
}
