//! Damaged and torn files: a torn tail is dropped, anything else is refused and left alone.

use crate::support::{Local, disk_of};
use bytes::Bytes;
use eddy_journal::conformance::{Opened, Recorder};
use eddy_journal::{Journal, JournalError, Urgency};
use eddy_types::{Seq, ShardId};
use std::path::PathBuf;
use std::sync::Arc;

type Files = Vec<(PathBuf, Vec<u8>)>;

/// Files of a journal that rolled over and was killed: shard 0 has records 1..=n, one batch each.
fn written(n: u64) -> Files {
    let mut local = Local::new(4096);
    let opened = Opened::open(&mut local);
    (1..=n).for_each(|seq| opened.commit(0, seq..=seq));
    local.fs.crash(local.loss).expect("crash");
    drop(opened);
    local
        .segments()
        .into_iter()
        .map(|path| (path.clone(), local.bytes(&path)))
        .collect()
}

fn open(files: &Files) -> Result<(Local, Arc<dyn Journal>), JournalError> {
    let local = disk_of(files);
    let journal = local.try_open(Arc::new(Recorder::default()))?;
    Ok((local, journal))
}

fn refusal(files: &Files, what: &str) -> JournalError {
    let error = match open(files) {
        Ok(_) => panic!("opened: {what}"),
        Err(error) => error,
    };
    assert!(
        matches!(error, JournalError::Corrupt { .. }),
        "{what}: {error}"
    );
    error
}

/// Where the written part of a segment ends.
fn written_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1)
}

#[test]
fn a_torn_tail_is_dropped_at_every_byte() {
    let files = written(12);
    let (path, bytes) = files.last().expect("a segment").clone();
    let end = written_len(&bytes);
    let whole = Opened::open(&mut disk_of(&files)).bounds(0).1;
    assert_eq!(whole, 12);
    let mut places = (0..end).step_by(32).rev();
    let start = places.find(|&at| bytes[at..].starts_with(b"EDBT"));
    for cut in start.expect("a batch")..end {
        let mut torn = files.clone();
        torn.last_mut().expect("a segment").1[cut..].fill(0);
        let mut local = disk_of(&torn);
        let opened = Opened::open(&mut local);
        assert_eq!(opened.bounds(0), (1, 11), "cut at {cut}");
        // The log goes on behind the last sound batch, and holds.
        opened.commit(0, 12..=13);
        opened.journal.close().expect("close");
        assert_eq!(
            Opened::open(&mut local).read_and_check(0, 1, 1000),
            13,
            "cut at {cut}"
        );
        assert!(local.segments().contains(&path));
    }
}

#[test]
fn a_flipped_byte_anywhere_is_refused_and_nothing_is_touched() {
    let files = written(36);
    assert!(files.len() >= 2, "the load must roll over");
    for which in 0..files.len() {
        for at in 0..written_len(&files[which].1) {
            let mut flipped = files.clone();
            flipped[which].1[at] ^= 0x40;
            let local = disk_of(&flipped);
            match local.try_open(Arc::new(Recorder::default())) {
                Ok(_) => panic!("file {which} byte {at}: opened"),
                Err(JournalError::Corrupt { file, .. }) => {
                    assert!(
                        files.iter().any(|(path, _)| path.ends_with(&file)),
                        "{file}"
                    );
                }
                Err(other) => panic!("file {which} byte {at}: {other}"),
            }
            let after = local.bytes(&flipped[which].0);
            assert_eq!(after, flipped[which].1, "file {which} byte {at}");
        }
    }
}

#[test]
fn a_missing_segment_is_refused_wherever_it_was() {
    let files = written(60);
    assert!(files.len() >= 4, "{}", files.len());
    for missing in 0..files.len() {
        let mut rest = files.clone();
        let (path, _) = rest.remove(missing);
        let error = refusal(&rest, &format!("without segment {missing}"));
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        assert!(
            error.to_string().contains(name),
            "{error} should name {name}"
        );
    }
}

#[test]
fn exchanged_and_copied_segments_are_refused() {
    let files = written(60);
    let mut exchanged = files.clone();
    exchanged[1].1 = files[2].1.clone();
    exchanged[2].1 = files[1].1.clone();
    refusal(&exchanged, "exchanged");
    let mut copied = files.clone();
    let number = files.len() + 1;
    copied.push((
        PathBuf::from(format!("/journal/{number:010}.seg")),
        files[1].1.clone(),
    ));
    refusal(&copied, "copied");
}

#[test]
fn a_newer_format_is_told_apart_from_damage() {
    let mut files = written(3);
    let bytes = &mut files[0].1;
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..32]);
    bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    match open(&files) {
        Err(JournalError::Incompatible {
            found: 2,
            supported: 1,
            ..
        }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let mut files = written(3);
    files.push((PathBuf::from("/journal/LOCK"), Vec::new()));
    files.push((PathBuf::from("/journal/1.seg"), b"not ours".to_vec()));
    files.push((
        PathBuf::from("/journal/0000000009.seg.tmp"),
        b"cut short".to_vec(),
    ));
    let (local, _journal) = open(&files).expect("opens");
    assert_eq!(local.bytes(&PathBuf::from("/journal/1.seg")), b"not ours");
    assert!(
        !local
            .segments()
            .contains(&PathBuf::from("/journal/0000000009.seg.tmp"))
    );
}

/// The only segment of a journal with these record lengths, one batch each, and where each begins.
fn batches_of(lens: &[usize]) -> (Files, Vec<usize>) {
    let mut local = Local::new(64 << 10);
    let opened = Opened::open(&mut local);
    for (seq, len) in (1..).zip(lens) {
        let record = Bytes::from(vec![0x11; *len]);
        opened
            .journal
            .append(ShardId(0), Seq(seq), record, Urgency::Now)
            .expect("append");
        opened.heard.wait(0, seq);
    }
    local.fs.crash(local.loss).expect("crash");
    let path = local.segments().remove(0);
    let bytes = local.bytes(&path);
    let places = (0..bytes.len())
        .step_by(32)
        .filter(|&at| bytes[at..].starts_with(b"EDBT"));
    // The first batch is the one that every segment is made with.
    let starts = places.skip(1).collect();
    (vec![(path, bytes)], starts)
}

#[test]
fn a_lost_sector_before_a_sound_batch_is_refused() {
    let (mut files, starts) = batches_of(&[2500, 100]);
    let sector = (starts[0] / 512 + 2) * 512;
    files[0].1[sector..sector + 512].fill(0);
    refusal(&files, "a flushed batch lost a sector");
}

#[test]
fn what_is_left_of_a_torn_batch_does_not_hurt_later_ones() {
    let (mut files, starts) = batches_of(&[100, 2500]);
    let sector = (starts[1] / 512 + 1) * 512;
    files[0].1[sector..sector + 512].fill(0);
    let mut local = disk_of(&files);
    let opened = Opened::open(&mut local);
    assert_eq!(opened.bounds(0), (1, 1));
    // Shorter than what it overwrites.
    opened.commit(0, 2..=2);
    local.fs.crash(local.loss).expect("crash");
    drop(opened);
    assert_eq!(Opened::open(&mut local).bounds(0), (1, 2));
}
