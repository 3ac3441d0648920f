//! Idempotency keys: answered once, joined while under way, remembered past deletion.

use crate::support::*;
use eddy_core::*;
use eddy_types::*;

#[test]
fn a_duplicate_joins_what_is_under_way_and_repeats_what_was_answered() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.holding = true;
    let first = world.request(&a, "1", Some("k"));
    let joined = world.request(&a, "1", Some("k"));
    let other = world.request(&a, "2", Some("k"));
    assert_eq!(world.said(other), "idempotency-mismatch");
    world.end("7", writes("x", "1"));
    let late = world.request(&a, "1", Some("k"));
    assert_eq!(
        [first, joined, late].map(|to| world.said(to)),
        ["-", "-", "-"]
    );
    world.flush();
    assert_eq!(
        [first, joined, late].map(|to| world.said(to)),
        ["7", "7", "7"]
    );
    assert!(world.runs.is_empty());
    world.crash();
    let again = world.request(&a, "1", Some("k"));
    let other = world.request(&a, "2", Some("k"));
    assert_eq!(
        [again, other].map(|to| world.said(to)),
        ["7", "idempotency-mismatch"]
    );
}

#[test]
fn a_throw_is_the_recorded_reply_of_a_key() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", Some("k"));
    world.throw(writes("x", "1"));
    let again = world.request(&a, "1", Some("k"));
    assert_eq!(
        (world.said(again), world.runs.len()),
        ("guest-error".into(), 0)
    );
    assert_eq!(world.read(&a, Durability::Synced, "x"), None);
}

#[test]
fn a_late_duplicate_does_not_bring_a_deleted_agent_back_until_its_key_expires() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", Some("k"));
    world.end("7", writes("x", "1"));
    let deleted = world.delete(&a, Some("d"));
    let late = world.request(&a, "1", Some("k"));
    let repeated = world.delete(&a, Some("d"));
    assert_eq!(
        [deleted, late, repeated].map(|to| world.said(to)),
        ["true", "7", "true"]
    );
    assert_eq!(world.stores[0].agent_exists(&a), Ok(false));
    world.now = world.now.plus(limits::IDEMPOTENCY_WINDOW);
    let expired = world.request(&a, "1", Some("k"));
    world.end("8", Effects::default());
    assert_eq!(world.said(expired), "8");
}

#[test]
fn duplicates_are_served_by_a_full_mailbox_and_by_a_node_that_drains() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", Some("answered"));
    world.end("7", Effects::default());
    world.request(&a, "1", None);
    let waiting = world.request(&a, "1", Some("waiting"));
    for _ in 1..limits::MAX_MAILBOX {
        world.request(&a, "1", None);
    }
    let full = world.request(&a, "1", Some("new"));
    assert_eq!(world.said(full), "mailbox-full");
    let duplicates =
        |world: &mut World| ["answered", "waiting"].map(|key| world.request(&a, "1", Some(key)));
    let while_full = duplicates(&mut world);
    world.cores[0].drain();
    let while_draining = duplicates(&mut world);
    let new = world.request(&a, "1", Some("new"));
    assert_eq!(world.said(new), "shutting-down");
    world.end("0", Effects::default());
    world.end("8", Effects::default());
    for [answered, joined] in [while_full, while_draining] {
        assert_eq!([answered, joined].map(|to| world.said(to)), ["7", "8"]);
    }
    assert_eq!(world.said(waiting), "8");
}

#[test]
fn so_many_duplicates_wait_and_the_oldest_makes_room_for_the_newest() {
    let (mut world, a) = (World::new(1), agent("a"));
    let first = world.request(&a, "1", Some("k"));
    let joined: Vec<_> = (0..limits::MAX_MAILBOX + 2)
        .map(|_| world.request(&a, "1", Some("k")))
        .collect();
    let (gone, waiting) = joined.split_at(2);
    assert!(gone.iter().all(|&one| world.said(one) == "overloaded"));
    world.end("7", Effects::default());
    let answered = waiting.iter().chain([&first]);
    assert!(answered.into_iter().all(|&one| world.said(one) == "7"));
}
