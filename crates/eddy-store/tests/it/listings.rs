//! Pages over all shards.

use crate::any::{agent_at, invocation, method};
use eddy_core::{Change, DeadLetter, DeadLetterId, MessageId, Record, Sender};
use eddy_store::{Store, StoreConfig};
use eddy_types::{EddyError, ErrorCode, Name, Seq, ShardId, TenantId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Applies each change in its shard, the n-th at the time 10 * n.
fn apply(store: &Store, changes: impl Iterator<Item = (ShardId, Change)>) {
    for (n, (shard, change)) in (1..).zip(changes) {
        let record = Record {
            at: Timestamp(n * 10),
            changes: vec![change],
        };
        let next = store.applied(shard).next();
        store.apply(shard, &[(next, Arc::new(record))]).unwrap();
    }
}

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(StoreConfig {
        shards: 5,
        workers: 1,
        ..StoreConfig::new(dir.path())
    })
    .unwrap()
}

/// Reads all pages of two entries; `cursor` names an entry for the next page.
fn pages<T: Clone, C>(page: impl Fn(Option<C>) -> Vec<T>, cursor: impl Fn(&T) -> C) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let next = page(all.last().map(&cursor));
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

#[test]
fn agents_come_in_key_order_whatever_their_shard() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let map = store.shard_map();
    let keys = ["b", "a", "aa", "ab", "a b", "b€", "c", "ac"];
    let mut all: Vec<_> = keys.map(|key| agent_at("t", "cart", key)).to_vec();
    all.extend([
        agent_at("t", "car", "a"),
        agent_at("t", "carts", "a"),
        agent_at("u", "cart", "a"),
    ]);
    let touched = |agent: &eddy_types::AgentId| {
        (
            map.shard_of_agent(agent),
            Change::AgentTouched {
                agent: agent.clone(),
            },
        )
    };
    apply(&store, all.iter().map(touched));

    let (tenant, name) = (TenantId::new("t").unwrap(), Name::new("cart").unwrap());
    let list = |prefix: &str| {
        let page = |after: Option<_>| {
            store
                .list_agents(&tenant, &name, prefix, after.as_ref(), 2)
                .unwrap()
        };
        let found = pages(page, |(agent, _)| agent.key().clone());
        found
            .iter()
            .map(|(agent, _)| agent.key().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(""), ["a", "a b", "aa", "ab", "ac", "b", "b€", "c"]);
    assert_eq!(list("a"), ["a", "a b", "aa", "ab", "ac"]);
    assert_eq!(list("b€"), ["b€"]);
    assert!(list("x").is_empty());
    let row = store.agent_row(&all[2]).unwrap().expect("it exists");
    assert_eq!((row.created, row.updated), (Timestamp(30), Timestamp(30)));
    assert_eq!(store.agent_row(&agent_at("t", "cart", "nobody")), Ok(None));
}

#[test]
fn invocations_come_newest_first_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let id = |n: u64| MessageId(u128::from(n * 7919 % 31));
    let put = |n: u64, ended| {
        let row = invocation(n / 3, ended);
        (
            ShardId(u16::try_from(n % 5).unwrap()),
            Change::InvocationPut { id: id(n), row },
        )
    };
    // All are put twice: accepted, and ended.
    apply(
        &store,
        (0..20)
            .map(|n| put(n, None))
            .chain((0..20).map(|n| put(n, Some(40)))),
    );
    let tenant = TenantId::new("t").unwrap();
    let page = |after| store.list_invocations(&tenant, after, 3).unwrap();
    let found = pages(page, |(at, _)| *at);
    let mut wanted: Vec<_> = (0..20).map(|n| (n / 3, id(n))).collect();
    wanted.sort_by(|a, b| b.cmp(a));
    assert_eq!(
        found
            .iter()
            .map(|(at, _)| (at.queued.0, at.id))
            .collect::<Vec<_>>(),
        wanted
    );
    assert!(found.iter().all(|(_, row)| row.ended.is_some()));
    let other = TenantId::new("tt").unwrap();
    assert!(store.list_invocations(&other, None, 3).unwrap().is_empty());
}

#[test]
fn dead_letters_come_newest_first_and_go_when_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let to = agent_at("t", "cart", "a");
    let letter = |at| DeadLetter {
        from: Sender::Agent(to.clone()),
        to: to.clone(),
        method: method(),
        argument: "1".into(),
        timer: None,
        error: EddyError::new(ErrorCode::GuestTrap, "no"),
        attempts: 8,
        at: Timestamp(at),
    };
    let place = |n: u64| {
        let index = u32::try_from(n % 2).unwrap();
        (
            ShardId(u16::try_from(n % 5).unwrap()),
            DeadLetterId {
                seq: Seq(n / 2),
                index,
            },
        )
    };
    let put = |n: u64| {
        let (shard, id) = place(n);
        (
            shard,
            Change::DeadLetterPut {
                id,
                letter: letter(n / 6),
            },
        )
    };
    let delete = |n: u64| {
        let (shard, id) = place(n);
        (shard, Change::DeadLetterDelete { id })
    };
    apply(&store, (0..20).map(put).chain([delete(3), delete(11)]));
    let tenant = TenantId::new("t").unwrap();
    for limit in [1, 2, 7, 99] {
        let page = |after| store.list_dead_letters(&tenant, after, limit).unwrap();
        let found = pages(page, |(at, _)| *at);
        assert!(found.is_sorted_by(|(a, _), (b, _)| a > b));
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|(at, row)| ((at.shard, at.id), row.at))
            .collect();
        let left = (0..20).filter(|n| ![3, 11].contains(n));
        assert_eq!(found, left.map(|n| (place(n), Timestamp(n / 6))).collect());
    }
}

#[test]
fn a_tenant_is_counted_by_its_own_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let map = store.shard_map();
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let used = |name: &str| -> u64 {
        let shards = map.shards();
        shards
            .map(|shard| store.usage(shard, &tenant(name)).unwrap())
            .sum()
    };
    let put = |agent: &eddy_types::AgentId, bytes: usize| Change::StatePut {
        agent: agent.clone(),
        key: "k".to_owned(),
        value: eddy_core::Value::Bytes(vec![0; bytes].into()),
    };
    let (own, other) = (agent_at("t", "cart", "a"), agent_at("tt", "cart", "a"));
    assert_eq!(used("t"), 0);
    apply(
        &store,
        [(map.shard_of_agent(&own), put(&own, 1000))].into_iter(),
    );
    let one = used("t");
    assert!((1000..1100).contains(&one), "{one}");
    apply(
        &store,
        [(map.shard_of_agent(&other), put(&other, 5000))].into_iter(),
    );
    assert_eq!(
        used("t"),
        one,
        "another tenant's, whose name begins the same"
    );
    // Written again it counts once.
    apply(
        &store,
        [(map.shard_of_agent(&own), put(&own, 2000))].into_iter(),
    );
    assert_eq!(used("t"), one + 1000);
    let row = invocation(5, Some(9));
    let id = MessageId(7);
    let run = (ShardId(1), Change::InvocationPut { id, row });
    apply(&store, [run].into_iter());
    assert!(used("t") > one + 1000, "invocations count");
    let gone = Change::AgentDeleted { agent: own.clone() };
    apply(&store, [(map.shard_of_agent(&own), gone)].into_iter());
    assert!(used("t") < one, "{}", used("t"));
}
