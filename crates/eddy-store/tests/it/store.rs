//! Single promises of the store, each by an example.

use crate::any::{agent_at, agents, dedupe_keys, invocation, method, numbered, scopes, send};
use crate::model::copy;
use eddy_core::{Change, DedupeRow, MessageId, MessageIds, Record, StoreView, Timer, Value};
use eddy_store::{Store, StoreConfig};
use eddy_types::{AgentId, Digest, ErrorCode, Seq, ShardId, Timestamp};
use std::path::{Path, PathBuf};

const SHARD: ShardId = ShardId(0);

fn open(dir: &Path) -> Store {
    Store::open(config(dir)).unwrap()
}

fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        shards: 2,
        workers: 1,
        ..StoreConfig::new(dir)
    }
}

fn record(changes: Vec<Change>) -> Record {
    Record {
        at: Timestamp(5),
        changes,
    }
}

fn put(agent: &AgentId, key: &str, bytes: usize) -> Change {
    let value = Value::Bytes(vec![7; bytes].into());
    Change::StatePut {
        agent: agent.clone(),
        key: key.to_owned(),
        value,
    }
}

#[test]
fn a_gap_is_refused_and_nothing_of_it_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let agent = &agents()[0];
    let mut records = numbered(1, vec![record(vec![put(agent, "x", 1)]), record(vec![])]);
    records[1].0 = Seq(3);
    assert_eq!(
        store.apply(SHARD, &records).unwrap_err().code,
        ErrorCode::Internal
    );
    assert_eq!(store.applied(SHARD), Seq(0));
    assert_eq!(store.shard(SHARD).state(agent, "x"), Ok(None));
    // A gap is a bug of the caller, not of the disk: the store goes on.
    store.apply(SHARD, &records[..1]).unwrap();
    assert_eq!(store.applied(SHARD), Seq(1));
    let unknown = store.apply(ShardId(2), &records[..1]).unwrap_err();
    assert_eq!(unknown.code, ErrorCode::Internal);
}

#[test]
fn a_deleted_agent_leaves_no_row_even_of_the_same_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (gone, stays) = (&agents()[0], &agents()[1]);
    let timer = Timer {
        at: Timestamp(9),
        method: method(),
        argument: "1".into(),
        generation: Seq(1),
    };
    let touched = |agent: &AgentId| Change::AgentTouched {
        agent: agent.clone(),
    };
    let timer = |agent: &AgentId| Change::TimerPut {
        agent: agent.clone(),
        name: "t".into(),
        timer: timer.clone(),
    };
    let full = |agent| vec![touched(agent), put(agent, "x", 1), timer(agent)];
    let mut second = vec![put(gone, "late", 1)];
    second.push(Change::AgentDeleted {
        agent: gone.clone(),
    });
    let first = record([full(gone), full(stays)].concat());
    store
        .apply(SHARD, &numbered(1, vec![first, record(second)]))
        .unwrap();

    let shard = store.shard(SHARD);
    assert!(!shard.agent_exists(gone).unwrap() && shard.agent_exists(stays).unwrap());
    assert!(shard.state_range(gone, "", None, 9).unwrap().is_empty());
    assert_eq!(shard.state_range(stays, "", None, 9).unwrap().len(), 1);
    let due = shard.timers_until(Timestamp(99), None, 9).unwrap();
    assert_eq!(
        due.iter().map(|row| &row.agent).collect::<Vec<_>>(),
        [stays]
    );
}

#[test]
fn many_records_are_applied_in_batches_and_survive_memtables() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        memtable_bytes: 256 << 10,
        ..config(dir.path())
    };
    let store = Store::open(config.clone()).unwrap();
    let agent = &agents()[0];
    let records = (0..60).map(|n| record(vec![put(agent, &format!("{n:03}"), 400_000)]));
    store.apply(SHARD, &numbered(1, records.collect())).unwrap();
    assert_eq!(store.applied(SHARD), Seq(60));
    drop(store);
    let store = Store::open(config).unwrap();
    assert_eq!(store.applied(SHARD), Seq(60));
    let page = store
        .shard(SHARD)
        .state_range(agent, "", Some("049"), 99)
        .unwrap();
    assert_eq!(page.len(), 10);
    assert!(page.iter().all(|(_, value)| value.len() == 400_000));
}

#[test]
fn a_closed_store_takes_nothing_more_and_opens_without_a_journal_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let agent = &agents()[0];
    let one = |n: u64| numbered(n, vec![record(vec![put(agent, &n.to_string(), 1000)])]);
    let journal = || -> u64 {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let entries = entries.map(|entry| entry.unwrap());
        let journals = entries.filter(|entry| entry.path().extension() == Some("jnl".as_ref()));
        journals.map(|entry| entry.metadata().unwrap().len()).sum()
    };
    let store = open(dir.path());
    store.apply(SHARD, &one(1)).unwrap();
    assert!(journal() > 0);
    assert!(store.close().unwrap());
    assert!(store.apply(SHARD, &one(2)).is_err());
    assert!(store.sweep_expired(SHARD, Timestamp(1), 9).is_err());
    let there = |store: &Store, n: u64| {
        let state = store.shard(SHARD).state(agent, &n.to_string());
        state.unwrap().is_some()
    };
    assert!(there(&store, 1));
    drop(store);
    assert_eq!(journal(), 0);
    // What comes later is newer than what is in the sorted files.
    let store = open(dir.path());
    assert_eq!(store.applied(SHARD), Seq(1));
    store.apply(SHARD, &one(2)).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.applied(SHARD), Seq(2));
    assert!(there(&store, 1) && there(&store, 2));
}

#[test]
fn a_folder_keeps_its_shards_and_is_one_process_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let other = StoreConfig {
        shards: 9,
        ..config(dir.path())
    };
    assert_eq!(
        Store::open(other.clone()).err().unwrap().code,
        ErrorCode::DataInUse
    );
    drop(store);
    assert_eq!(Store::open(other).unwrap().shard_map().count(), 2);
}

#[test]
fn files_of_an_older_checkpoint_catch_up_by_replay() {
    let dir = tempfile::tempdir().unwrap();
    let (live, old) = (dir.path().join("live"), dir.path().join("old"));
    let agent = &agents()[0];
    let records: Vec<_> = (0..40)
        .map(|n| record(vec![put(agent, &(n % 7).to_string(), n)]))
        .collect();
    let journal = numbered(1, records);
    let store = open(&live);
    store.apply(SHARD, &journal[..20]).unwrap();
    assert_eq!(store.checkpoint(&[SHARD]).unwrap(), [(SHARD, Seq(20))]);
    copy(&live, &old);
    store.apply(SHARD, &journal[20..]).unwrap();
    let wanted = store.shard(SHARD).state_range(agent, "", None, 99).unwrap();

    let older = open(&old);
    assert_eq!(
        older.applied(SHARD),
        Seq(20),
        "a checkpoint is in the files"
    );
    older.apply(SHARD, &journal[10..]).unwrap();
    assert_eq!(
        older.shard(SHARD).state_range(agent, "", None, 99).unwrap(),
        wanted
    );
}

#[test]
fn what_runs_is_never_swept_and_what_ended_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = |id, ended| Change::InvocationPut {
        id: MessageId(id),
        row: invocation(1, ended),
    };
    let records = vec![record(vec![at(1, Some(2)), at(2, None), at(3, Some(50))])];
    store.apply(SHARD, &numbered(1, records)).unwrap();
    assert_eq!(store.sweep_expired(SHARD, Timestamp(12), 9), Ok(1));
    let shard = store.shard(SHARD);
    let exists = |id| shard.invocation(MessageId(id)).unwrap().is_some();
    assert_eq!([1, 2, 3].map(exists), [false, true, true]);
}

#[test]
fn an_answer_remembered_anew_outlives_its_first_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (scope, key) = (scopes()[0].clone(), dedupe_keys()[0].clone());
    let put = |expires| {
        let (digest, expires) = (Digest::of(b"x"), Timestamp(expires));
        let row = DedupeRow {
            digest,
            outcome: Ok("1".into()),
            expires,
        };
        record(vec![Change::DedupePut {
            scope: scope.clone(),
            key: key.clone(),
            row,
        }])
    };
    store
        .apply(SHARD, &numbered(1, vec![put(5), put(50)]))
        .unwrap();
    let remembered = || store.shard(SHARD).dedupe(&scope, &key).unwrap().is_some();
    store.sweep_expired(SHARD, Timestamp(10), 9).unwrap();
    assert!(remembered());
    store.sweep_expired(SHARD, Timestamp(50), 9).unwrap();
    assert!(!remembered());
}

#[test]
fn a_damaged_file_is_told_and_nothing_is_applied_on_top() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent_at("t", "a", "k");
    let config = StoreConfig {
        memtable_bytes: 64 << 10,
        ..config(dir.path())
    };
    let store = Store::open(config.clone()).unwrap();
    let one = |n: u64| numbered(n, vec![record(vec![put(&agent, &n.to_string(), 100_000)])]);
    // Applies until a sorted file is there: memtables are written in the background.
    let mut next = 1;
    while tables(dir.path()).is_empty() {
        store.apply(SHARD, &one(next)).unwrap();
        next += 1;
        assert!(next < 10_000, "no sorted file was written");
    }
    drop(store);
    for table in tables(dir.path()) {
        let mut bytes = std::fs::read(&table).unwrap();
        let length = bytes.len();
        bytes[..length / 2]
            .iter_mut()
            .step_by(512)
            .for_each(|byte| *byte ^= 0x10);
        std::fs::write(&table, bytes).unwrap();
    }
    let store = match Store::open(config) {
        Ok(store) => store,
        Err(error) => return assert_eq!(error.code, ErrorCode::StoreFailed),
    };
    let failed = (1..next).find_map(|n| store.shard(SHARD).state(&agent, &n.to_string()).err());
    assert_eq!(failed.expect("a read fails").code, ErrorCode::StoreFailed);
    let next = store.applied(SHARD).next().0;
    assert_eq!(
        store.apply(SHARD, &one(next)).unwrap_err().code,
        ErrorCode::StoreFailed
    );
    assert_eq!(
        store.checkpoint(&[SHARD]).unwrap_err().code,
        ErrorCode::StoreFailed
    );
}

/// The sorted files of the rows.
fn tables(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("keyspaces")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .parent()
                .is_some_and(|parent| parent.ends_with("tables"))
            {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_store_that_a_crash_left_half_made_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("store");
    // What a kill in the middle of the first start leaves.
    let unborn = dir.path().join("store.new");
    std::fs::create_dir_all(unborn.join("keyspaces")).unwrap();
    std::fs::write(unborn.join("0.jnl"), [0; 4096]).unwrap();
    std::fs::write(unborn.join("lock"), []).unwrap();
    drop(open(&place));
    assert!(place.is_dir() && !unborn.exists());
    drop(open(&place));
}

#[test]
fn ids_get_a_secret_once_and_what_has_a_number_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let send = |dest, seq| Change::OutboxPut {
        dest: ShardId(dest),
        seq,
        send: send(),
    };
    let records = vec![
        record(vec![send(0, 1), send(1, 1)]),
        record(vec![send(1, 2)]),
    ];
    store.apply(SHARD, &numbered(1, records)).unwrap();
    let error = store.shard(SHARD).message_ids().unwrap_err();
    assert_eq!(
        error.code,
        ErrorCode::StoreFailed,
        "nothing is named without"
    );
    store.begin_message_ids(|| Ok([7; 32])).unwrap();
    let ids = |last, timers_before| MessageIds {
        secret: [7; 32],
        sends_before: [(SHARD, last)].into(),
        timers_before,
    };
    let same = |store: &Store| {
        let found = [0, 1].map(|shard| store.shard(ShardId(shard)).message_ids().unwrap());
        assert!(found == [ids(1, Seq(2)), ids(2, Seq(0))]);
    };
    same(&store);
    let later = record(vec![send(1, 3)]);
    store.apply(SHARD, &numbered(3, vec![later])).unwrap();
    drop(store);
    let store = open(dir.path());
    store.begin_message_ids(|| panic!("there is one")).unwrap();
    same(&store);
}
