//! Imports: a whole state in one record, or nothing of it.

use crate::support::*;
use bytes::Bytes;
use eddy_core::*;
use eddy_types::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

type State = BTreeMap<String, Value>;
type Timers = BTreeMap<String, (u64, String)>;

fn import(replace: bool, state: &State, timers: &Timers) -> Import {
    let mut import = Import::new(replace);
    for (key, value) in state {
        import.state(key, value.clone()).unwrap();
    }
    for (name, (at, argument)) in timers {
        let argument = Bytes::from(argument.clone());
        import
            .timer(name, Timestamp(*at), method(), argument)
            .unwrap();
    }
    import
}

fn one(key: &str, value: &str) -> State {
    [(key.to_owned(), json(value))].into()
}

/// What is durable of an agent.
fn export(world: &World, agent: &AgentId) -> (State, Timers) {
    let store = &world.stores[usize::from(world.map.shard_of_agent(agent).0)];
    let state = store.state_range(agent, "", None, 1000).unwrap();
    let timers = store
        .timers_of(agent)
        .unwrap()
        .into_iter()
        .map(|(name, _)| {
            let timer = store.timer(agent, &name).unwrap().unwrap();
            let argument = String::from_utf8(timer.argument.to_vec()).unwrap();
            (name, (timer.at.0, argument))
        });
    (state.into_iter().collect(), timers.collect())
}

fn any_state() -> impl Strategy<Value = State> {
    let value = prop_oneof![
        "[0-9]{1,5}".prop_map(|text| json(&text)),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    proptest::collection::btree_map("[a-d]{1,2}", value, 0..5)
}

fn any_timers() -> impl Strategy<Value = Timers> {
    proptest::collection::btree_map("[st]", (2_000_000u64..3_000_000, "[0-9]{1,3}"), 0..3)
}

proptest! {
    /// What one agent exports and another imports, it exports again; what was there before is gone, also
    /// when it is still on its way to the disk; and a crash before the flush leaves what was there.
    #[test]
    fn an_import_of_an_export_is_the_same(
        state in any_state(),
        timers in any_timers(),
        before in any_state(),
        old_timers in any_timers(),
        holding in any::<bool>(),
        crash in any::<bool>(),
    ) {
        let (mut world, from, to) = (World::new(2), agent("from"), agent("to"));
        world.import(&from, import(false, &state, &timers), None);
        world.import(&to, import(false, &before, &old_timers), None);
        world.holding = holding;
        world.request(&to, "1", None);
        world.end("1", writes("late", "1"));
        let exported = export(&world, &from);
        prop_assert_eq!(&exported, &(state, timers));
        let kept = export(&world, &to);
        let replaced = world.import(&to, import(true, &exported.0, &exported.1), None);
        for (key, value) in &exported.0 {
            prop_assert_eq!(&world.read(&to, Durability::Synced, key), &Some(value.clone()));
        }
        prop_assert_eq!(world.read(&to, Durability::Synced, "late"), None);
        if crash {
            world.crash();
        } else {
            world.flush();
        }
        if crash && holding {
            prop_assert_eq!(world.said(replaced), "-");
            prop_assert_eq!(export(&world, &to), kept);
        } else {
            prop_assert_eq!(world.said(replaced), "true");
            prop_assert_eq!(export(&world, &to), exported);
        }
    }
}

#[test]
fn an_agent_that_exists_is_replaced_only_on_demand() {
    let (mut world, a) = (World::new(1), agent("a"));
    let empty = Timers::new();
    let first = world.import(&a, import(false, &one("x", "1"), &empty), Some("k"));
    let again = world.import(&a, import(false, &one("x", "1"), &empty), Some("k"));
    let other = world.import(&a, import(false, &one("x", "2"), &empty), Some("k"));
    let refused = world.import(&a, import(false, &one("y", "2"), &empty), Some("other"));
    let said = [first, again, other, refused].map(|to| world.said(to));
    assert_eq!(
        said,
        ["false", "false", "idempotency-mismatch", "agent-exists"]
    );
    assert_eq!(export(&world, &a).0, one("x", "1"));
    // Nothing is remembered of what was refused.
    world.delete(&a, None);
    let repeated = world.import(&a, import(false, &one("y", "2"), &empty), Some("other"));
    assert_eq!(world.said(repeated), "false");
    assert_eq!(export(&world, &a).0, one("y", "2"));
}

#[test]
fn the_instance_is_dropped_and_only_when_something_changed() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", None);
    world.end("1", writes("x", "1"));
    let empty = Timers::new();
    world.import(&a, import(false, &one("x", "2"), &empty), None);
    assert!(world.dropped.is_empty());
    world.import(&a, import(true, &one("x", "2"), &empty), None);
    assert_eq!(world.dropped, [a]);
}

#[test]
fn an_import_waits_for_the_turn_that_runs() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", None);
    let imported = world.import(&a, import(true, &one("x", "2"), &Timers::new()), None);
    assert_eq!(world.said(imported), "-");
    world.end("1", writes("x", "1"));
    assert_eq!(world.said(imported), "true");
    assert_eq!(export(&world, &a).0, one("x", "2"));
}

#[test]
fn the_timers_are_those_of_the_import() {
    let (mut world, a) = (World::new(1), agent("a"));
    let soon = world.now.0 + 1000;
    let timers = |name: &str, at: u64, argument: &str| -> Timers {
        [(name.to_owned(), (at, argument.to_owned()))].into()
    };
    let both: Timers = [timers("old", soon, "old"), timers("t", soon, "old")]
        .into_iter()
        .flatten()
        .collect();
    world.import(&a, import(false, &State::new(), &both), None);
    // Both are due and wait for a turn when they are replaced.
    world.request(&a, "1", None);
    let replacement = import(true, &State::new(), &timers("t", 1, "new"));
    world.import(&a, replacement, None);
    world.pass(Duration::from_secs(2));
    world.end("1", Effects::default());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.end("1", Effects::default()).argument, "new");
    world.pass(Duration::from_secs(4000));
    assert!(world.runs.is_empty());
}

#[test]
fn what_no_record_holds_is_refused_whole() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.import(&a, import(false, &one("x", "1"), &Timers::new()), None);
    let half = Value::Bytes(vec![0; limits::MAX_RECORD_BYTES / 2].into());
    let state: State = [("a", &half), ("b", &half)]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into();
    let large = world.import(&a, import(true, &state, &Timers::new()), None);
    assert_eq!(world.said(large), "record-too-large");
    let far = world.now.plus(limits::MAX_TIMER_DELAY * 2).0;
    let timers: Timers = [("t".to_owned(), (far, "1".to_owned()))].into();
    let late = world.import(&a, import(true, &State::new(), &timers), None);
    assert_eq!(world.said(late), "limit-exceeded");
    assert_eq!(export(&world, &a).0, one("x", "1"));
    // By the first import only.
    assert_eq!(world.dropped.len(), 1);
}

#[test]
fn the_limits_of_writes_and_timers_are_those_of_turns() {
    let mut import = Import::new(false);
    let code = |result: Result<(), EddyError>| result.expect_err("a limit").code;
    assert_eq!(
        code(import.state("", json("1"))),
        ErrorCode::InvalidArgument
    );
    let large = Value::Bytes(vec![0; limits::MAX_VALUE_BYTES + 1].into());
    assert_eq!(code(import.state("a", large)), ErrorCode::RecordTooLarge);
    for number in 0..limits::MAX_TIMERS_PER_AGENT {
        let set = import.timer(&number.to_string(), Timestamp(1), method(), Bytes::new());
        set.unwrap();
    }
    let more = import.timer("more", Timestamp(1), method(), Bytes::new());
    assert_eq!(code(more), ErrorCode::LimitExceeded);
}
