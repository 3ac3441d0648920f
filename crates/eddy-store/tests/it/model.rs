//! The store against the plain maps of `eddy_core::model`, through crashes and roll-backs.

use crate::any::{NAMES, agents, dedupe_keys, numbered, records, scopes};
use eddy_core::model::MemoryStore;
use eddy_core::{DeadLetterId, MessageId, Record, StoreView};
use eddy_store::{ShardStore, Store, StoreConfig};
use eddy_types::{Seq, ShardId, Timestamp};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

// The only shard, so that every agent lives in it.
const SHARD: ShardId = ShardId(0);

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Record>),
    /// Apply the last few records again, with new ones behind them.
    Overlap(usize, Vec<Record>),
    Sweep(u64),
    Checkpoint,
    Reopen,
    /// Close, then reopen.
    Close,
    /// Copy the files as they are, flushed or not.
    Copy,
    /// Go back to the copied files and replay the journal over them.
    Restore,
    Snapshot,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => records().prop_map(Step::Apply),
        2 => (1usize..9, records()).prop_map(|(back, new)| Step::Overlap(back, new)),
        1 => (0u64..40).prop_map(Step::Sweep),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Close),
        1 => Just(Step::Copy),
        1 => Just(Step::Restore),
        1 => Just(Step::Snapshot),
    ]
}

struct World {
    dir: tempfile::TempDir,
    store: Option<Store>,
    model: MemoryStore,
    journal: Vec<(Seq, Arc<Record>)>,
    swept: u64,
    snapshot: Option<(ShardStore, MemoryStore)>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open(&dir.path().join("store")));
        let (model, journal) = (MemoryStore::default(), Vec::new());
        Self {
            dir,
            store,
            model,
            journal,
            swept: 0,
            snapshot: None,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Apply(new) => self.append(0, new),
            Step::Overlap(back, new) => self.append(back, new),
            Step::Sweep(now) => {
                // Never back in time, so that a roll-back can sweep to the same moment again.
                self.swept = self.swept.max(now);
                self.sweep();
            }
            Step::Checkpoint => {
                let applied = vec![(SHARD, self.model.applied())];
                assert_eq!(self.store().checkpoint(&[SHARD]).unwrap(), applied);
            }
            Step::Reopen => self.reopen(|_| {}),
            Step::Close => {
                assert!(self.store().close().unwrap());
                self.reopen(|_| {});
            }
            Step::Copy => {
                let copied = self.dir.path().join("copied");
                let _ = std::fs::remove_dir_all(&copied);
                copy(&self.dir.path().join("store"), &copied);
            }
            Step::Restore => self.restore(),
            Step::Snapshot => {
                self.snapshot = Some((self.store().snapshot(SHARD), self.model.clone()));
            }
        }
    }

    fn append(&mut self, back: usize, new: Vec<Record>) {
        let before = self.journal.len();
        self.journal.extend(numbered(before as u64 + 1, new));
        let suffix = &self.journal[before.saturating_sub(back)..];
        self.store.as_ref().unwrap().apply(SHARD, suffix).unwrap();
        self.model.apply(suffix).unwrap();
    }

    fn sweep(&mut self) {
        let now = Timestamp(self.swept);
        while self.store().sweep_expired(SHARD, now, 2).unwrap() == 2 {}
        self.model.sweep_expired(now);
    }

    fn reopen(&mut self, between: impl FnOnce(&Path)) {
        // A snapshot holds the database open.
        self.check_snapshot();
        self.snapshot = None;
        self.store = None;
        let dir = self.dir.path().join("store");
        between(&dir);
        self.store = Some(open(&dir));
    }

    fn restore(&mut self) {
        let copied = self.dir.path().join("copied");
        if copied.exists() {
            self.reopen(|dir| {
                std::fs::remove_dir_all(dir).unwrap();
                copy(&copied, dir);
            });
            let applied = usize::try_from(self.store().applied(SHARD).0).unwrap();
            assert!(applied <= self.journal.len());
            self.store().apply(SHARD, &self.journal[applied..]).unwrap();
            self.sweep();
        }
    }

    fn check(&self) {
        assert_eq!(self.store().applied(SHARD), self.model.applied());
        assert_same(&self.store().shard(SHARD), &self.model);
        for agent in agents() {
            let row = self.store().agent_row(&agent).unwrap();
            let times = self.model.agents().get(&agent);
            assert_eq!(
                row.map(|row| (row.created, row.updated)),
                times.map(|times| (times.created, times.updated))
            );
        }
    }

    fn check_snapshot(&self) {
        if let Some((store, model)) = &self.snapshot {
            assert_same(store, model);
        }
    }
}

fn open(dir: &Path) -> Store {
    Store::open(StoreConfig {
        shards: 1,
        workers: 1,
        ..StoreConfig::new(dir)
    })
    .unwrap()
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Asks both everything that the core can ask.
fn assert_same(store: &impl StoreView, model: &MemoryStore) {
    for agent in agents() {
        assert_eq!(store.agent_exists(&agent), model.agent_exists(&agent));
        assert_eq!(store.timers_of(&agent), model.timers_of(&agent));
        for name in NAMES {
            assert_eq!(store.state(&agent, name), model.state(&agent, name));
            assert_eq!(store.timer(&agent, name), model.timer(&agent, name));
            for after in [None, Some(""), Some("a"), Some("aa"), Some("b")] {
                for limit in [1, 9] {
                    let range = |view: &dyn StoreView| view.state_range(&agent, name, after, limit);
                    assert_eq!(range(store), range(model), "{agent:?} {name:?} {after:?}");
                }
            }
        }
    }
    for scope in scopes() {
        for key in dedupe_keys() {
            assert_eq!(store.dedupe(&scope, &key), model.dedupe(&scope, &key));
        }
    }
    assert_eq!(store.outbox(), model.outbox());
    assert_eq!(store.outbox_last(), model.outbox_last());
    assert_eq!(store.inbox(), model.inbox());
    assert_eq!(
        store.unfinished_invocations(),
        model.unfinished_invocations()
    );
    for id in (0..5).map(MessageId) {
        assert_eq!(store.invocation(id), model.invocation(id));
    }
    for (seq, index) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
        let id = DeadLetterId {
            seq: Seq(seq),
            index,
        };
        assert_eq!(store.dead_letter(id), model.dead_letter(id));
    }
    assert_same_timers(store, model);
}

/// Pages through the timers, a few at a time.
fn assert_same_timers(store: &impl StoreView, model: &MemoryStore) {
    for until in [0, 7, 19, u64::MAX] {
        let mut after = None;
        loop {
            let page = store
                .timers_until(Timestamp(until), after.as_ref(), 2)
                .unwrap();
            let same = model
                .timers_until(Timestamp(until), after.as_ref(), 2)
                .unwrap();
            assert_eq!(page, same);
            match page.last() {
                Some(last) => after = Some(last.clone()),
                None => break,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_model(steps in proptest::collection::vec(any_step(), 1..14)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.check_snapshot();
    }
}
