//! Files of old formats must open for ever. Format 1: tests/fixtures/format-1, one segment with
//! records 1..=5 of shard 0, record 1 of shard 7, shard 0 trimmed through 2, closed.

use crate::support::{Local, disk_of};
use eddy_journal::conformance::Opened;
use eddy_types::{Seq, ShardId};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1/0000000001.seg")
}

#[test]
fn format_1_opens() {
    let bytes = std::fs::read(fixture()).expect("the fixture is checked in");
    let mut local = disk_of(&[(PathBuf::from("/journal/0000000001.seg"), bytes)]);
    let opened = Opened::open(&mut local);
    assert_eq!((opened.bounds(0), opened.bounds(7)), ((3, 5), (1, 1)));
    assert_eq!(opened.read_and_check(0, 3, 1000), 3);
    assert_eq!(opened.read_and_check(7, 1, 1000), 1);
}

/// Writes the fixture. Only ever needed for a new format, in a new folder.
#[test]
#[ignore = "purpose: make the fixture of a new format"]
fn make_fixture() {
    let mut local = Local::new(4096);
    local.config.salt = 0x5eed;
    let opened = Opened::open(&mut local);
    opened.commit(0, 1..=5);
    opened.commit(7, 1..=1);
    opened.journal.trim(ShardId(0), Seq(2)).expect("trim");
    opened.journal.close().expect("close");
    let path = fixture();
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
    std::fs::write(path, local.bytes(&local.segments()[0])).expect("write");
}
