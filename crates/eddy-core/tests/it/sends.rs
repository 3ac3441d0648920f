//! Sends: in order, exactly once, and a dead letter in the end.

use crate::support::*;
use bytes::Bytes;
use eddy_core::*;
use eddy_types::*;
use std::time::Duration;

fn two() -> (World, AgentId, AgentId) {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.request(&a, "1", None);
    world.end("1", sends(&b, &["1", "2"]));
    (world, a, b)
}

#[test]
fn sends_arrive_in_order_and_a_failing_one_holds_back_the_next() {
    let (mut world, _, _) = two();
    assert_eq!(world.fail().argument, "1");
    assert!(world.runs.is_empty());
    world.pass(Duration::from_millis(99));
    assert!(world.runs.is_empty(), "it backs off");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.end("1", Effects::default()).argument, "1");
    assert_eq!(world.end("1", Effects::default()).argument, "2");
    assert_eq!(world.cores[0].outbox_len(), 0);
}

#[test]
fn the_last_failure_makes_a_dead_letter_that_is_redriven_once() {
    let (mut world, _, b) = two();
    world.end_with(TurnEnd::Failed(trap()), attempts(1));
    assert_eq!(world.end("1", Effects::default()).argument, "2");
    let letters = world.dead_letters(ShardId(0));
    assert_eq!((letters.len(), letters[0].1.to.clone()), (1, b));
    let id = letters[0].0;
    let (first, second) = (
        world.settle_letter(ShardId(0), id, true),
        world.settle_letter(ShardId(0), id, true),
    );
    assert_eq!(
        [first, second].map(|to| world.said(to)),
        ["null", "unknown-dead-letter"]
    );
    assert_eq!(world.end("1", Effects::default()).argument, "1");
    assert!(world.dead_letters(ShardId(0)).is_empty() && world.runs.is_empty());
}

#[test]
fn a_dead_letter_fits_a_record_however_long_its_error_is() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.request(&a, "1", None);
    world.end("1", sends(&b, &[&"x".repeat(limits::MAX_PAYLOAD_BYTES)]));
    let error = EddyError::new(ErrorCode::GuestError, "ä".repeat(400_000));
    world.end_with(TurnEnd::Failed(error), attempts(1));
    assert_eq!(world.dead_letters(ShardId(0)).len(), 1);
    assert_eq!(world.cores[0].outbox_len(), 0);
}

#[test]
fn a_stop_or_an_app_without_code_does_not_count_as_an_attempt() {
    let (mut world, _, _) = two();
    for code in [ErrorCode::TurnAborted, ErrorCode::AppUnavailable].repeat(3) {
        let error = EddyError::new(code, "stop");
        world.end_with(TurnEnd::Failed(error), attempts(1));
        world.pass(Duration::from_secs(31));
    }
    assert!(world.dead_letters(ShardId(0)).is_empty());
}

#[test]
fn a_duplicate_takes_effect_once_wherever_the_first_is() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.held = Some(Vec::new());
    world.request(&a, "1", None);
    world.end("1", sends(&b, &["1"]));
    let delivery = world.held.take().unwrap().remove(0);
    world.holding = true;
    world.hand_over(delivery.clone());
    world.hand_over(delivery.clone()); // running
    world.end("1", writes("x", "1"));
    world.hand_over(delivery.clone()); // committing
    assert_eq!((world.runs.len(), world.cores[0].outbox_len()), (0, 1));
    world.flush();
    assert_eq!(world.cores[0].outbox_len(), 0);
    world.hand_over(delivery.clone()); // durable
    world.crash();
    world.hand_over(delivery);
    world.delete(&b, None);
    assert!(world.runs.is_empty());
}

#[test]
fn a_failure_is_told_only_when_what_it_saw_is_durable() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.request(&a, "1", None);
    world.end("1", sends(&b, &["1"]));
    let run = world.next_run();
    world.fail_turn(&run);
    world.holding = true;
    world.request(&b, "1", None);
    world.end("1", writes("x", "1"));
    world.pass(Duration::from_secs(1));
    world.fail();
    world.pass(Duration::from_secs(5));
    assert!(
        world.runs.is_empty(),
        "the source has not heard of the failure"
    );
    world.flush();
    world.pass(Duration::from_secs(5));
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn a_crash_before_the_news_of_a_delivery_does_not_repeat_it() {
    let (mut world, _, _) = two();
    world.end("1", writes("x", "1"));
    world.crash();
    assert_eq!(world.end("1", Effects::default()).argument, "2");
    assert!(world.runs.is_empty());
}

#[test]
fn ids_have_a_secret_and_what_was_under_way_before_keeps_its_own() {
    let (a, b) = (agent("a"), agent("b"));
    let ids = |secret, sends_before, timers_before| MessageIds {
        secret: [secret; 32],
        sends_before: [(ShardId(0), sends_before)].into(),
        timers_before,
    };
    // Two sends and a timer; the first of each is under way when its node stops.
    let before = |first: MessageIds| {
        let mut world = World::new(1);
        world.stores[0].set_message_ids(first);
        world.crash();
        world.request(&a, "1", None);
        let mut effects = sends(&b, &["1", "2"]);
        let timer = Bytes::from_static(b"3");
        let second = Duration::from_secs(1);
        effects
            .set_timer("t", world.now, second, method(), timer)
            .unwrap();
        world.end("1", effects);
        let sent = world.next_run().id;
        world.pass(second);
        let fired = world.next_run().id;
        assert_ne!(sent, fired);
        (world, [sent, fired])
    };
    let (_, named) = before(ids(1, 0, Seq(0)));
    let (_, again) = before(ids(1, 0, Seq(0)));
    let (_, others) = before(ids(2, 0, Seq(0)));
    assert_eq!(named, again);
    assert!(named.iter().all(|id| !others.contains(id)), "of one secret");

    let (mut world, old) = before(ids(1, u64::MAX, Seq(u64::MAX)));
    let last = world.stores[0].outbox_last().unwrap()[0].1;
    let applied = world.stores[0].applied();
    world.stores[0].set_message_ids(ids(2, last, applied));
    world.crash();
    world.pass(Duration::from_secs(1));
    let run: Vec<_> = [world.next_run(), world.next_run()]
        .map(|start| start.id)
        .into();
    assert!(
        old.iter().all(|id| run.contains(id)),
        "{run:?}, not {old:?}"
    );
}
