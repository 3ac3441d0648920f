//! After the first error nothing is written any more, whoever would write it.

use crate::support::Local;
use bytes::Bytes;
use eddy_journal::conformance::{Opened, record};
use eddy_journal::fs::{Fault, Loss};
use eddy_journal::{Journal, JournalError, JournalEvents, Urgency};
use eddy_types::{Seq, ShardId};
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
struct Told {
    acked: Vec<Seq>,
    failures: usize,
    /// The first record is being told of.
    begun: bool,
    /// The listener may return.
    go_on: bool,
}

/// Takes its time over the first record, as a node does that opens gates and runs turns there.
#[derive(Default)]
struct SlowListener {
    told: Mutex<Told>,
    changed: Condvar,
}

impl SlowListener {
    fn wait(&self, until: impl Fn(&Told) -> bool) {
        let mut told = self.told.lock();
        while !until(&told) {
            let waited = self.changed.wait_for(&mut told, Duration::from_secs(20));
            assert!(!waited.timed_out(), "nothing happens");
        }
    }
}

impl JournalEvents for SlowListener {
    fn durable(&self, acks: &[(ShardId, Seq)]) {
        let mut told = self.told.lock();
        told.acked.extend(acks.iter().map(|(_, seq)| *seq));
        told.begun = true;
        self.changed.notify_all();
        while !told.go_on {
            self.changed.wait(&mut told);
        }
    }

    fn failed(&self, _: &JournalError) {
        self.told.lock().failures += 1;
        self.changed.notify_all();
    }
}

/// Two batches are written in one go, and the second meets a full disk. While the first is told of,
/// somebody else appends.
#[test]
fn while_it_tells_of_a_batch_nobody_writes_over_the_one_that_failed() {
    let mut local = Local::new(1 << 20);
    local.config.max_batch_bytes = 1;
    let listener = Arc::new(SlowListener::default());
    let journal = local.try_open(listener.clone()).expect("opens");
    for seq in 1..=2 {
        let held = journal.append(ShardId(0), Seq(seq), record(0, seq), Urgency::Held);
        held.expect("appends");
    }
    local.fs.fail_write(2, Fault::DiskFull);
    std::thread::scope(|scope| {
        scope.spawn(|| journal.release(true));
        listener.wait(|told| told.begun);
        let late = journal.append(ShardId(0), Seq(3), record(0, 3), Urgency::Now);
        listener.told.lock().go_on = true;
        listener.changed.notify_all();
        assert!(late.is_err(), "appended after the failure");
    });
    listener.wait(|told| told.failures == 1);
    assert_eq!(listener.told.lock().acked, [Seq(1)]);
    drop(journal);
    local.fs.crash(Loss::All).expect("crash");
    let opened = Opened::open(&mut local);
    assert_eq!(opened.bounds(0), (1, 1));
}

/// A request that breaks lets go of the records that were held for it while it unwinds.
#[test]
fn records_released_while_unwinding_are_committed() {
    struct Release(Arc<dyn Journal>);
    impl Drop for Release {
        fn drop(&mut self) {
            self.0.release(true);
        }
    }
    let mut local = Local::new(1 << 20);
    let opened = Opened::open(&mut local);
    let broken = catch_unwind(AssertUnwindSafe(|| {
        let _release = Release(opened.journal.clone());
        let record = Bytes::from_static(b"x");
        let held = opened
            .journal
            .append(ShardId(0), Seq(1), record, Urgency::Held);
        held.expect("appends");
        panic!("a bug in one request");
    }));
    assert!(broken.is_err());
    opened.heard.wait(0, 1);
    assert_eq!(opened.heard.failures(), 0);
}
