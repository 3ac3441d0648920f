//! Crashes, failing disks and full disks under load.

use crate::support::Local;
use bytes::Bytes;
use eddy_journal::conformance::{Harness as _, Opened, record};
use eddy_journal::fs::{Fault, Loss};
use eddy_journal::{Journal, JournalError, Urgency};
use eddy_types::{EddyError, ErrorCode, Seq, ShardId};

/// Runs a load over crashes with torn writes; returns an error when an acknowledged record is
/// gone. Trims along the way, so segments come and go.
fn crash_rounds(seed: u64, lying: bool) -> Result<(), String> {
    let mut local = Local::new(4096);
    local.fs.set_lying(lying);
    let mut acked = [0u64; 3];
    for round in 0..8 {
        let opened = Opened::open(&mut local);
        local.fs.set_lying(lying);
        let mut next = [0; 3];
        for shard in 0..3u16 {
            let (first, last) = opened.bounds(shard);
            if last < acked[usize::from(shard)] {
                return Err(format!(
                    "shard {shard}: {last} < {}",
                    acked[usize::from(shard)]
                ));
            }
            assert_eq!(opened.read_and_check(shard, first, 700), last + 1 - first);
            next[usize::from(shard)] = last + 1;
        }
        for step in 0..20 + (seed + round) % 13 {
            for shard in 0..3u16 {
                let seq = next[usize::from(shard)];
                match shard {
                    2 => append_here(&opened, shard, seq),
                    _ => opened.append(shard, seq..=seq),
                }
                next[usize::from(shard)] += 1;
            }
            if step % 7 == seed % 7 {
                let shard = (seed % 3) as u16;
                opened.heard.wait(shard, next[usize::from(shard)] - 1);
                let (first, last) = opened.bounds(shard);
                opened
                    .journal
                    .trim(ShardId(shard), Seq((first + last) / 2))
                    .expect("trim");
            }
        }
        local
            .fs
            .crash(Loss::Torn {
                seed: seed * 100 + round,
            })
            .expect("crash");
        drop(opened.journal);
        (0..3).for_each(|shard| acked[usize::from(shard)] = opened.heard.acked(shard));
    }
    Ok(())
}

/// Appends and commits on this thread, when nobody else is at it.
fn append_here(opened: &Opened, shard: u16, seq: u64) {
    let record = record(shard, seq);
    let appended = opened
        .journal
        .append(ShardId(shard), Seq(seq), record, Urgency::Held);
    appended.expect("append");
    opened.journal.release(true);
}

#[test]
fn a_quick_disk_is_written_by_who_appends() {
    let mut local = Local::new(64 << 20);
    let opened = Opened::open(&mut local);
    let here = (1..=200).filter(|seq| {
        append_here(&opened, 0, *seq);
        opened.heard.acked(0) == *seq
    });
    // The writer's thread is at it too now and then: it makes room ahead.
    assert!(here.count() > 100, "acknowledged before release returns");
    opened.heard.wait(0, 200);
}

#[test]
fn a_flush_that_fails_for_who_appends_ends_the_journal() {
    let mut local = Local::new(64 << 20);
    let opened = Opened::open(&mut local);
    append_here(&opened, 0, 1);
    opened.heard.wait(0, 1);
    local.fail_next_commit();
    // The writer's thread may meet the fault first, when it makes room ahead.
    let append = |seq| {
        let (record, at) = (record(0, seq), (ShardId(0), Seq(seq)));
        opened.journal.append(at.0, at.1, record, Urgency::Held)
    };
    let mut last = 1;
    while append(last + 1).is_ok() {
        last += 1;
        opened.journal.release(true);
    }
    assert_eq!(opened.heard.wait_failed().len(), 1);
    assert!(opened.heard.acked(0) <= last);
    let refused = append(last + 1);
    assert!(
        matches!(refused, Err(JournalError::Failed { .. })),
        "{refused:?}"
    );
    drop(opened.journal);
    let again = Opened::open(&mut local);
    assert!(again.bounds(0).1 >= opened.heard.acked(0));
}

#[test]
fn crashes_with_torn_writes_lose_nothing_acknowledged() {
    for seed in 0..40 {
        crash_rounds(seed, false).unwrap_or_else(|lost| panic!("seed {seed}: {lost}"));
    }
}

#[test]
fn a_disk_that_lies_about_flushing_is_found_out() {
    // Without flushes the same load must lose data, or refuse to open: the test above bites.
    let honest = (0..5).all(|seed| {
        std::panic::catch_unwind(|| crash_rounds(seed, true)).is_ok_and(|done| done.is_ok())
    });
    assert!(!honest);
}

#[test]
fn every_failing_write_or_flush_leaves_a_journal_that_opens() {
    for nth in 1..40 {
        for is_sync in [false, true] {
            for crash in [false, true] {
                one_fault(nth, is_sync, crash);
            }
        }
    }
}

fn one_fault(nth: u64, is_sync: bool, crash: bool) {
    let mut local = Local::new(4096);
    let opened = Opened::open(&mut local);
    match is_sync {
        true => local.fs.fail_sync(nth, Fault::Io),
        false => local.fs.fail_write(nth, Fault::Io),
    }
    let mut failed = false;
    for seq in 1..=60 {
        let bytes = record(0, seq);
        if opened
            .journal
            .append(ShardId(0), Seq(seq), bytes, Urgency::Now)
            .is_err()
        {
            failed = true;
            break;
        }
        while opened.heard.acked(0) < seq && opened.heard.failures() == 0 {
            std::thread::yield_now();
        }
    }
    if failed {
        // An append may be refused a moment before the failure is told.
        opened.heard.wait_failed();
    }
    assert_eq!(opened.heard.failures(), usize::from(failed));
    let acked = opened.heard.acked(0);
    drop(opened);
    // Once more without a crash in between: the system still shows bytes that never got to disk.
    for again in 0..2 {
        if crash || again == 1 {
            local.fs.crash(Loss::All).expect("crash");
        }
        let opened = Opened::open(&mut local);
        let (_, last) = opened.bounds(0);
        let place = format!("nth {nth} sync {is_sync} crash {crash} again {again}");
        assert!(
            last >= acked && last <= acked + 2,
            "{place}: {acked} acknowledged, {last} there"
        );
        assert_eq!(opened.read_and_check(0, 1, 1000), last, "{place}");
        opened.commit(0, last + 1..=last + 1);
    }
}

#[test]
fn a_full_disk_says_so() {
    let mut local = Local::new(1 << 20);
    let opened = Opened::open(&mut local);
    opened.commit(0, 1..=3);
    local.fs.fail_write(1, Fault::DiskFull);
    let _ = opened
        .journal
        .append(ShardId(0), Seq(4), record(0, 4), Urgency::Now);
    let failure = opened.heard.wait_failed().remove(0);
    assert!(matches!(
        failure,
        JournalError::Failed {
            disk_full: true,
            shards: None,
            ..
        }
    ));
    let error = EddyError::from(failure);
    assert_eq!(error.code, ErrorCode::JournalFailed);
    assert!(error.hint.is_some_and(|hint| hint.contains("disk is full")));
}

#[test]
fn too_many_waiting_bytes_are_refused() {
    let mut local = Local::new(1 << 20);
    local.config.max_queue_bytes = 1_000_000;
    let opened = Opened::open(&mut local);
    let hour = Urgency::Within(std::time::Duration::from_secs(3600));
    let append = |seq, len| {
        opened
            .journal
            .append(ShardId(0), Seq(seq), Bytes::from(vec![1; len]), hour)
    };
    append(1, 600_000).expect("fits");
    assert!(matches!(
        append(2, 600_000),
        Err(JournalError::Busy { queued: 600_000 })
    ));
    append(2, 400_000).expect("fits");
}

#[test]
fn trimmed_segments_are_removed_and_sequences_survive() {
    let mut local = Local::new(4096);
    let opened = Opened::open(&mut local);
    (1..=200).for_each(|seq| opened.commit(0, seq..=seq));
    opened.commit(1, 1..=1);
    assert!(local.segments().len() > 5);
    opened.journal.trim(ShardId(0), Seq(200)).expect("trim");
    opened.journal.trim(ShardId(1), Seq(1)).expect("trim");
    opened.journal.close().expect("close");
    assert!(local.segments().len() <= 2, "{:?}", local.segments());
    let opened = Opened::open(&mut local);
    assert_eq!((opened.bounds(0), opened.bounds(1)), ((201, 200), (2, 1)));
}

#[test]
fn one_flush_commits_all_shards() {
    let mut local = Local::new(64 << 20);
    let heard = std::sync::Arc::new(eddy_journal::conformance::Recorder::default());
    let journal = local
        .try_open(std::sync::Arc::clone(&heard) as _)
        .expect("opens");
    local.fs.set_lying(false);
    let hour = Urgency::Within(std::time::Duration::from_secs(3600));
    for shard in 0..100 {
        journal
            .append(ShardId(shard), Seq(1), record(shard, 1), hour)
            .expect("append");
    }
    let before = journal.stats();
    journal
        .append(ShardId(100), Seq(1), record(100, 1), Urgency::Now)
        .expect("append");
    heard.wait(100, 1);
    let after = journal.stats();
    assert_eq!(
        (
            after.records - before.records,
            after.batches - before.batches
        ),
        (101, 1)
    );
    local.loss = Loss::All;
}
