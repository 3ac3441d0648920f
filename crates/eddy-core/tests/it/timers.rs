//! Timers: set, replaced, cancelled, fired once, tried again, near and far.

use crate::support::*;
use bytes::Bytes;
use eddy_core::model::MemoryStore;
use eddy_core::*;
use eddy_types::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(2000);

fn timer(world: &World, after: Duration, argument: &str) -> Effects {
    let mut effects = Effects::default();
    let argument = Bytes::from(argument.to_owned());
    effects
        .set_timer("t", world.now, after, method(), argument)
        .unwrap();
    effects
}

fn set(world: &mut World, after: Duration, argument: &str) {
    world.request(&agent("a"), "1", None);
    let effects = timer(world, after, argument);
    world.end("1", effects);
}

fn cancel() -> Effects {
    let mut effects = Effects::default();
    effects.cancel_timer("t").unwrap();
    effects
}

/// The arguments of the firings within `time`, each handled without changes.
fn fired(world: &mut World, time: Duration) -> Vec<String> {
    let mut fired = Vec::new();
    for _ in 0..time.as_secs() / 100 {
        world.pass(Duration::from_secs(100));
        while !world.runs.is_empty() {
            let argument = world.end("1", Effects::default()).argument;
            fired.push(String::from_utf8(argument.to_vec()).unwrap());
        }
    }
    fired
}

#[test]
fn a_timer_fires_once_also_across_a_crash() {
    let mut world = World::new(1);
    set(&mut world, SECOND, "1");
    world.crash();
    assert_eq!(fired(&mut world, FAR), ["1"]);
    world.crash();
    assert!(fired(&mut world, FAR).is_empty());
}

#[test]
fn near_and_far_timers_replace_each_other() {
    for flushed in [true, false] {
        for (first, second) in [
            (SECOND, FAR),
            (FAR, SECOND),
            (FAR, FAR * 2),
            (SECOND, SECOND * 2),
        ] {
            let mut world = World::new(1);
            world.holding = !flushed;
            set(&mut world, first, "old");
            set(&mut world, second, "new");
            assert_eq!(
                fired(&mut world, FAR * 3),
                ["new"],
                "{first:?} {second:?} {flushed}"
            );
        }
    }
}

#[test]
fn a_firing_in_the_mailbox_is_dropped_when_its_timer_is_cancelled_replaced_or_deleted() {
    for change in ["cancel", "replace", "delete"] {
        let (mut world, a) = (World::new(1), agent("a"));
        set(&mut world, SECOND, "old");
        world.request(&a, "1", None);
        if change == "delete" {
            world.delete(&a, None);
        }
        world.pass(SECOND);
        let effects = match change {
            "cancel" => cancel(),
            "replace" => timer(&world, SECOND, "new"),
            _ => Effects::default(),
        };
        world.end("1", effects);
        assert!(world.runs.is_empty(), "{change}");
        let expected: &[&str] = if change == "replace" { &["new"] } else { &[] };
        assert_eq!(fired(&mut world, FAR), expected, "{change}");
    }
}

#[test]
fn a_handler_may_set_its_own_timer_again() {
    let mut world = World::new(1);
    set(&mut world, SECOND, "1");
    world.pass(SECOND);
    let effects = timer(&world, FAR, "2");
    world.end("1", effects);
    assert_eq!(fired(&mut world, FAR * 2), ["2"]);
}

#[test]
fn a_failing_timer_backs_off_and_becomes_a_dead_letter() {
    let mut world = World::new(1);
    set(&mut world, SECOND, "1");
    world.pass(SECOND);
    world.end_with(TurnEnd::Failed(trap()), attempts(2));
    world.pass(Duration::from_millis(99));
    assert!(world.runs.is_empty());
    world.pass(Duration::from_millis(1));
    world.end_with(TurnEnd::Failed(trap()), attempts(2));
    let letters = world.dead_letters(ShardId(0));
    assert_eq!(letters[0].1.timer.as_deref(), Some("t"));
    assert!(fired(&mut world, FAR).is_empty());
    world.settle_letter(ShardId(0), letters[0].0, true);
    assert_eq!(world.end("1", Effects::default()).argument, "1");
}

#[test]
fn a_deleted_agents_far_timers_are_gone() {
    let mut world = World::new(1);
    set(&mut world, FAR, "1");
    world.delete(&agent("a"), None);
    assert!(fired(&mut world, FAR * 2).is_empty());
}

#[test]
fn what_a_timer_carries_is_read_when_it_fires() {
    let (mut world, a) = (World::new(1), agent("a"));
    set(&mut world, SECOND, "old");
    world.crash();
    // Nobody changes a store like this; it shows where the argument comes from.
    let timer = world.stores[0].timer(&a, "t").unwrap().unwrap();
    let changed = Change::TimerPut {
        agent: a,
        name: "t".to_owned(),
        timer: Timer {
            argument: Bytes::from_static(b"new"),
            ..timer
        },
    };
    let (at, changes) = (world.now, vec![changed]);
    world.stores[0] = MemoryStore::default();
    let record = Record { at, changes };
    world.stores[0].apply(&[(Seq(1), record.into())]).unwrap();
    world.pass(SECOND);
    assert_eq!(world.next_run().argument, "new");
}

/// Whoever sets a timer looks at all of its agent.
#[test]
fn what_the_timers_of_an_agent_carry_is_bounded() {
    let mut world = World::new(1);
    let large = Bytes::from(format!("\"{}\"", "x".repeat(limits::MAX_PAYLOAD_BYTES - 2)));
    let most = limits::MAX_TIMER_BYTES_PER_AGENT / large.len();
    let mut set = |name: usize| {
        let mut effects = Effects::default();
        let set = effects.set_timer(&name.to_string(), world.now, FAR, method(), large.clone());
        set.unwrap();
        let reply = world.request(&agent("a"), "1", None);
        world.end("1", effects);
        world.said(reply)
    };
    for name in 0..most {
        assert_eq!(set(name), "1");
    }
    assert_eq!(set(0), "1", "one that is replaced makes room");
    assert_eq!(set(most), "limit-exceeded");
    // So does the one that fired.
    world.pass(FAR);
    let mut effects = Effects::default();
    let after = effects.set_timer("next", world.now, FAR, method(), large.clone());
    after.unwrap();
    let fired = world.end("1", effects);
    assert!(fired.argument == large);
    let left = world.stores[0].timers_of(&agent("a")).unwrap();
    let names: Vec<_> = left.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"next"), "{names:?}");
}
