//! Turns: one record or nothing, the output gate, what a throw and a fault leave behind.

use crate::support::*;
use bytes::Bytes;
use eddy_core::*;
use eddy_types::*;

#[test]
fn a_turn_is_one_record_and_its_reply_waits_for_it() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.holding = true;
    let reply = world.request(&a, "1", None);
    world.end("7", writes("x", "1"));
    assert_eq!((world.records, world.said(reply)), (1, "-".into()));
    assert_eq!(
        world.read(&a, Durability::Synced, "x"),
        Some(json("1")),
        "it runs ahead"
    );
    world.flush();
    assert_eq!(world.said(reply), "7");
    assert_eq!(world.stores[0].state(&a, "x"), Ok(Some(json("1"))));
}

#[test]
fn a_query_waits_for_the_turns_that_it_saw() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.holding = true;
    world.request(&a, "1", None);
    world.end("1", writes("x", "1"));
    let query = world.query(&a);
    world.end("2", Effects::default());
    assert_eq!(world.said(query), "-");
    world.flush();
    assert_eq!((world.said(query), world.records), ("2".into(), 1));
}

#[test]
fn a_turn_without_changes_writes_nothing() {
    let (mut world, a) = (World::new(1), agent("a"));
    let reply = world.request(&a, "1", None);
    world.end("1", Effects::default());
    let thrown = world.request(&a, "1", None);
    world.throw(writes("x", "1"));
    let deleted = world.delete(&a, None);
    assert_eq!(world.records, 0);
    let said = [reply, thrown, deleted].map(|to| world.said(to));
    assert_eq!(said, ["1", "guest-error", "false"]);
}

#[test]
fn relaxed_answers_before_the_flush_and_a_crash_loses_whole_turns() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.holding = true;
    let mut effects = sends(&b, &["1"]);
    effects.set("x", json("1")).unwrap();
    let reply = world.request(&a, "1", None);
    let end = TurnEnd::Returned(Ok(Bytes::from_static(b"1")), effects);
    world.end_with(end, durability(Durability::Relaxed));
    assert_eq!(world.said(reply), "1");
    assert!(world.runs.is_empty(), "its send waits for the flush");
    world.crash();
    world.holding = false;
    assert_eq!(world.read(&a, Durability::Relaxed, "x"), None);
    assert!(world.runs.is_empty());
}

#[test]
fn memory_only_state_is_in_no_record_but_its_sends_are() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.holding = true;
    let policy = durability(Durability::None);
    let reply = world.request(&a, "1", None);
    world.end_with(
        TurnEnd::Returned(Ok(Bytes::from_static(b"1")), writes("x", "1")),
        policy,
    );
    assert_eq!((world.said(reply), world.records), ("1".into(), 0));
    assert_eq!(world.read(&a, Durability::None, "x"), Some(json("1")));
    world.request(&a, "1", None);
    world.end_with(
        TurnEnd::Returned(Ok(Bytes::from_static(b"1")), sends(&b, &["1"])),
        policy,
    );
    assert_eq!((world.records, world.runs.len()), (1, 0));
    world.flush();
    assert_eq!(world.runs.len(), 1);
    world.crash();
    assert_eq!(world.read(&a, Durability::None, "x"), None);
}

#[test]
fn a_throw_with_changes_drops_the_instance_and_one_without_keeps_it() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    for (effects, dropped) in [
        (writes("x", "1"), 1),
        (sends(&b, &["1"]), 2),
        (Effects::default(), 2),
    ] {
        world.request(&a, "1", None);
        world.throw(effects);
        assert_eq!(world.dropped.len(), dropped);
    }
    assert_eq!((world.records, world.runs.len()), (0, 0));
}

#[test]
fn a_fault_drops_the_instance_and_records_nothing_even_with_a_key() {
    let (mut world, a) = (World::new(1), agent("a"));
    let first = world.request(&a, "1", Some("k"));
    world.fail();
    assert_eq!((world.said(first), world.records), ("guest-trap".into(), 0));
    assert_eq!(world.dropped, std::slice::from_ref(&a));
    let second = world.request(&a, "1", Some("k"));
    world.end("2", Effects::default());
    assert_eq!(world.said(second), "2");
}

#[test]
fn too_large_a_record_leaves_nothing_and_takes_no_number() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    let large = "x".repeat(600_000);
    let reply = world.request(&a, "1", None);
    world.end("1", sends(&b, &[&large, &large]));
    assert_eq!(world.said(reply), "record-too-large");
    assert_eq!(
        (
            world.records,
            world.dropped.len(),
            world.cores[0].outbox_len()
        ),
        (0, 1, 0)
    );
    world.held = Some(Vec::new());
    world.request(&a, "1", None);
    world.end("1", sends(&b, &["1"]));
    assert_eq!(world.held.as_ref().unwrap()[0].seq, 1);
}

#[test]
fn an_immediate_effect_waits_for_earlier_turns_only() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.holding = true;
    world.request(&a, "1", None);
    let first = world.next_run();
    let begin = |world: &mut World, turn| {
        let reply = world.reply_slot();
        world
            .step(ShardId(0), |core, _, _, out| {
                core.begin_effect(turn, reply, out)
            })
            .unwrap();
    };
    begin(&mut world, first.turn);
    assert_eq!(world.begun.len(), 1);
    let done = || TurnEnd::Returned(Ok(Bytes::from_static(b"1")), writes("x", "1"));
    world.end_turn(&first, done(), TurnPolicy::default());
    world.request(&a, "1", None);
    let second = world.next_run();
    begin(&mut world, second.turn);
    assert_eq!(world.begun.len(), 1);
    world.flush();
    assert_eq!(world.begun.len(), 2);
}

#[test]
fn what_a_turn_gave_up_before_its_gate_opened_is_answered_and_never_runs() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.holding = true;
    world.request(&a, "1", None);
    world.end("1", writes("x", "1"));
    world.request(&a, "1", None);
    let turn = world.next_run();
    let (given_up, call) = world.call(&turn, &b, "1");
    world.step(ShardId(0), |core, _, _, _| core.call_done(turn.turn, call));
    let (left, _) = world.call(&turn, &b, "1");
    world.end_turn(&turn, TurnEnd::Failed(trap()), TurnPolicy::default());
    world.flush();
    assert!(world.runs.is_empty());
    assert_eq!(
        [given_up, left].map(|to| world.said(to)),
        ["turn-aborted", "turn-aborted"]
    );
}

#[test]
fn the_effects_of_a_turn_are_numbered_up_to_a_limit() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", None);
    let turn = world.next_run().turn;
    let mut out = Vec::new();
    for reply in 0..limits::MAX_EFFECTS_PER_TURN {
        world.cores[0].begin_effect(turn, reply, &mut out).unwrap();
    }
    let (_, error) = world.cores[0].begin_effect(turn, 0, &mut out).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
}

#[test]
fn a_turn_may_overwrite_a_key_as_often_as_it_likes() {
    let mut effects = Effects::default();
    let value = || Value::Bytes(vec![0; 100_000].into());
    for n in 0..1000 {
        let value = Value::Bytes(vec![0; n * 100].into());
        effects.set("progress", value).unwrap();
    }
    let grown = (0..1000).try_for_each(|n| effects.set(&n.to_string(), value()));
    assert_eq!(grown.unwrap_err().code, ErrorCode::RecordTooLarge);
}

#[test]
fn the_end_of_an_invocation_is_known_when_its_reply_leaves() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.holding = true;
    world.request(&a, "1", None);
    let first = world.end("7", writes("x", "1")).id;
    assert!(world.ended.is_empty(), "{:?}", world.ended);
    world.flush();
    let seven = Some(Ok(Bytes::from_static(b"7")));
    assert_eq!(world.ended, [(first, seven)]);
}

#[test]
fn a_message_accepted_as_a_query_never_writes() {
    let (mut world, a) = (World::new(1), agent("a"));
    let query = world.query(&a);
    // A redeploy has made the method an ordinary one meanwhile: the policy says nothing any more.
    let end = TurnEnd::Returned(Ok(Bytes::from_static(b"1")), writes("x", "1"));
    let start = world.end_with(end, durability(Durability::Synced));
    assert!(start.read_only);
    assert_eq!(world.said(query), "write-in-query");
    assert_eq!((world.records, world.dropped), (0, vec![a]));
}

#[test]
fn waiting_messages_are_bounded_in_bytes() {
    let (mut world, a) = (World::new(1), agent("a"));
    let large = format!("\"{}\"", "x".repeat(900_000));
    let replies: Vec<_> = (0..100)
        .map(|n| {
            (
                world.request(&agent(&n.to_string()), "1", None),
                world.request(&agent(&n.to_string()), &large, None),
            )
                .1
        })
        .collect();
    let refused = replies.iter().filter(|to| world.said(**to) == "overloaded");
    assert!((20..30).contains(&refused.count()));
    while !world.runs.is_empty() {
        world.end("1", Effects::default());
    }
    let later = world.request(&a, &large, None);
    world.end("1", Effects::default());
    assert_eq!(world.said(later), "1");
}
