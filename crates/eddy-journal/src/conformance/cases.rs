//! The cases of the suite, one function each; the name says what must hold.

// A test that fails should say so at once.
#![allow(clippy::missing_panics_doc)]

use super::{Harness, Opened, record};
use crate::error::JournalError;
use crate::journal::Urgency;
use bytes::Bytes;
use eddy_types::limits::MAX_RECORD_BYTES;
use eddy_types::{Seq, ShardId};
use std::time::Duration;

const LONG: Urgency = Urgency::Within(Duration::from_secs(3600));

/// A shard that never had a record has bounds 1 and 0, and reads as nothing.
pub fn a_new_shard_is_empty(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    assert_eq!(opened.bounds(3), (1, 0));
    assert_eq!(opened.read_and_check(3, 1, 1000), 0);
}

/// What was appended is read as it was, also after the journal was closed and opened.
pub fn records_come_back_in_order(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.commit(0, 1..=100);
    assert_eq!(opened.bounds(0), (1, 100));
    assert_eq!(opened.read_and_check(0, 1, 4000), 100);
    assert_eq!(opened.read_and_check(0, 40, 4000), 61);
    opened.journal.close().expect("close");
    let opened = Opened::open(harness);
    assert_eq!(opened.bounds(0), (1, 100));
    assert_eq!(opened.read_and_check(0, 1, usize::MAX), 100);
    opened.commit(0, 101..=110);
    assert_eq!(opened.read_and_check(0, 1, 1), 110);
}

/// An append that would get another sequence than expected is refused and takes none.
pub fn sequences_must_be_the_next(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.append(0, 1..=2);
    for wrong in [0, 2, 4] {
        let refused = opened
            .journal
            .append(ShardId(0), Seq(wrong), Bytes::new(), Urgency::Now);
        let (expected, next) = (Seq(wrong), Seq(3));
        let error = JournalError::OutOfOrder {
            shard: ShardId(0),
            expected,
            next,
        };
        assert_eq!(refused, Err(error));
    }
    opened.commit(0, 3..=3);
    assert_eq!(opened.read_and_check(0, 1, 1000), 3);
    let ahead = opened.journal.trim(ShardId(0), Seq(4));
    assert!(
        matches!(ahead, Err(JournalError::OutOfOrder { .. })),
        "{ahead:?}"
    );
}

/// Appends need not wait for each other; acknowledgements come in order.
pub fn ten_thousand_appends_pipeline(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.commit(1, 1..=10_000);
    assert_eq!(opened.read_and_check(1, 1, 100_000), 10_000);
}

/// Shards count on their own, and keep apart.
pub fn many_shards_share_the_journal(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    for seq in 1..=20 {
        (0..64).for_each(|shard| opened.append(shard, seq..=seq));
    }
    (0..64).for_each(|shard| opened.heard.wait(shard, 20));
    opened.journal.close().expect("close");
    let opened = Opened::open(harness);
    for shard in 0..64 {
        assert_eq!(opened.read_and_check(shard, 1, 1000), 20);
    }
}

/// A page holds what fits, and one record at least.
pub fn pages_respect_their_size(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.commit(0, 1..=50);
    let page = |from, bytes| {
        opened
            .journal
            .read(ShardId(0), Seq(from), bytes)
            .expect("read")
    };
    let sizes: Vec<usize> = (1..=50).map(|seq| record(0, seq).len()).collect();
    for limit in [0, 1, 20, 500, 5000] {
        let got = page(1, limit);
        let bytes: usize = got.iter().map(|entry| entry.record.len()).sum();
        assert!(
            got.len() == 1 || bytes <= limit,
            "{bytes} bytes in a page of {limit}"
        );
        let more = sizes.get(got.len()).map_or(usize::MAX, |next| bytes + next);
        assert!(more > limit, "one more record fits a page of {limit}");
    }
    assert_eq!(page(51, 1000), []);
    assert_eq!(page(1000, 1000), []);
}

/// A record that may wait goes along with one that may not, before it in its own shard.
pub fn held_records_go_with_urgent_ones(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    let journal = &opened.journal;
    journal
        .append(ShardId(0), Seq(1), record(0, 1), LONG)
        .expect("append");
    journal
        .append(ShardId(1), Seq(1), record(1, 1), LONG)
        .expect("append");
    opened.commit(0, 2..=2);
    opened.heard.wait(1, 1);
    assert_eq!(opened.read_and_check(0, 1, 1000), 2);
    // And closing does not wait for it.
    journal
        .append(ShardId(1), Seq(2), record(1, 2), LONG)
        .expect("append");
    journal.close().expect("close");
    assert_eq!(opened.heard.acked(1), 2);
}

/// A record that may wait goes when its time is over.
pub fn held_records_go_by_themselves(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    let soon = Urgency::Within(Duration::from_millis(20));
    opened
        .journal
        .append(ShardId(0), Seq(1), record(0, 1), LONG)
        .expect("append");
    opened
        .journal
        .append(ShardId(1), Seq(1), record(1, 1), soon)
        .expect("append");
    opened.heard.wait(1, 1);
}

/// A record that is held goes when it is released, on whichever thread; and with the next one that
/// is urgent, or at the end, when nobody releases it.
pub fn released_records_go(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    let held = |seq| {
        let (record, at) = (record(0, seq), (ShardId(0), Seq(seq)));
        let appended = opened.journal.append(at.0, at.1, record, Urgency::Held);
        appended.expect("append");
    };
    for (seq, here) in [(1, true), (2, false)] {
        held(seq);
        opened.journal.release(here);
        opened.heard.wait(0, seq);
    }
    held(3);
    opened.commit(0, 4..=4);
    opened.journal.release(true);
    held(5);
    opened.journal.close().expect("close");
    assert_eq!(opened.heard.acked(0), 5);
    assert_eq!(Opened::open(harness).read_and_check(0, 1, 1000), 5);
}

/// Many threads that release for themselves, beside one that does not: everything is there, once.
pub fn threads_that_release_do_not_disturb_each_other(harness: &mut dyn Harness) {
    const RECORDS: u64 = 300;
    let opened = Opened::open(harness);
    std::thread::scope(|scope| {
        for shard in 0..4 {
            let opened = &opened;
            scope.spawn(move || {
                for seq in 1..=RECORDS {
                    let urgency = if shard == 0 {
                        Urgency::Now
                    } else {
                        Urgency::Held
                    };
                    let appended = opened.journal.append(
                        ShardId(shard),
                        Seq(seq),
                        record(shard, seq),
                        urgency,
                    );
                    appended.expect("append");
                    opened.journal.release(shard % 2 == 1);
                }
            });
        }
    });
    for shard in 0..4 {
        opened.heard.wait(shard, RECORDS);
    }
    opened.journal.close().expect("close");
    let opened = Opened::open(harness);
    for shard in 0..4 {
        assert_eq!(opened.read_and_check(shard, 1, 4000), RECORDS);
    }
}

/// The largest record comes back; a larger one is refused.
pub fn large_records_fit_and_larger_are_refused(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    let large = Bytes::from(vec![0; MAX_RECORD_BYTES]);
    for seq in 1..=5 {
        let taken = opened
            .journal
            .append(ShardId(0), Seq(seq), large.clone(), Urgency::Now);
        taken.expect("append");
    }
    opened.heard.wait(0, 5);
    let entries = opened.journal.read(ShardId(0), Seq(5), 1).expect("read");
    assert!(entries.len() == 1 && entries[0].record == large);
    let larger = Bytes::from(vec![0; MAX_RECORD_BYTES + 1]);
    let refused = opened
        .journal
        .append(ShardId(0), Seq(6), larger, Urgency::Now);
    assert!(
        matches!(refused, Err(JournalError::TooLarge { .. })),
        "{refused:?}"
    );
    opened.commit(0, 6..=6);
}

/// Trimmed records cannot be read, now and after opening again.
pub fn trimmed_records_are_gone(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.commit(0, 1..=100);
    opened.commit(1, 1..=10);
    opened.journal.trim(ShardId(0), Seq(60)).expect("trim");
    opened
        .journal
        .trim(ShardId(0), Seq(30))
        .expect("an older trim changes nothing");
    let check = |opened: &Opened| {
        assert_eq!(opened.bounds(0), (61, 100));
        assert_eq!(opened.bounds(1), (1, 10));
        let (from, first) = (Seq(60), Seq(61));
        let gone = opened.journal.read(ShardId(0), from, 1000);
        assert_eq!(
            gone,
            Err(JournalError::Trimmed {
                shard: ShardId(0),
                from,
                first
            })
        );
        assert_eq!(opened.read_and_check(0, 61, 1000), 40);
    };
    check(&opened);
    opened.journal.close().expect("close");
    check(&Opened::open(harness));
}

/// A shard that was trimmed to its end goes on counting where it was.
pub fn trimming_everything_keeps_the_sequence(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.commit(0, 1..=50);
    opened.journal.trim(ShardId(0), Seq(50)).expect("trim");
    assert_eq!(opened.bounds(0), (51, 50));
    opened.journal.close().expect("close");
    let opened = Opened::open(harness);
    assert_eq!(opened.bounds(0), (51, 50));
    assert_eq!(opened.read_and_check(0, 51, 1000), 0);
    opened.commit(0, 51..=52);
    assert_eq!(opened.read_and_check(0, 51, 1000), 2);
}

/// Closing acknowledges all that was appended; then nothing more is taken, reads still work.
pub fn closing_makes_all_durable(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.append(0, 1..=500);
    opened.journal.close().expect("close");
    assert_eq!(opened.heard.acked(0), 500);
    let late = opened
        .journal
        .append(ShardId(0), Seq(501), Bytes::new(), Urgency::Now);
    assert_eq!(late, Err(JournalError::Closed));
    assert_eq!(opened.read_and_check(0, 1, 1000), 500);
    opened.journal.close().expect("closing twice is fine");
    harness.crash();
    assert_eq!(Opened::open(harness).bounds(0), (1, 500));
}

/// A crash at any moment keeps all acknowledged records, invents none, and leaves no gap.
pub fn a_crash_keeps_what_was_acknowledged(harness: &mut dyn Harness) {
    let mut before = 0;
    for round in 1..=10 {
        let opened = Opened::open(harness);
        let (_, last) = opened.bounds(0);
        assert!(
            last >= before,
            "round {round}: {before} were acknowledged, {last} are there"
        );
        assert_eq!(opened.read_and_check(0, 1, 10_000), last);
        opened.append(0, last + 1..=last + 300);
        opened.heard.wait(0, last + 1);
        harness.crash();
        drop(opened.journal);
        before = opened.heard.acked(0);
    }
}

/// After a failed commit nothing is taken; opening again shows all that was acknowledged.
pub fn a_failed_commit_ends_appends(harness: &mut dyn Harness) {
    let opened = Opened::open(harness);
    opened.commit(0, 1..=10);
    harness.fail_next_commit();
    // The journal may fail at its own housekeeping before it comes to this record.
    let _ = opened
        .journal
        .append(ShardId(0), Seq(11), record(0, 11), Urgency::Now);
    let failures = opened.heard.wait_failed();
    assert!(
        matches!(failures[0], JournalError::Failed { .. }),
        "{failures:?}"
    );
    let next = opened
        .journal
        .append(ShardId(0), Seq(12), record(0, 12), Urgency::Now);
    assert_eq!(next, Err(failures[0].clone()));
    assert!(opened.journal.close().is_err());
    assert_eq!((opened.heard.failures(), opened.heard.acked(0)), (1, 10));
    harness.crash();
    let opened = Opened::open(harness);
    let (first, last) = opened.bounds(0);
    assert!(first == 1 && (10..=11).contains(&last), "{first}..={last}");
    assert_eq!(opened.read_and_check(0, 1, 10_000), last);
}
