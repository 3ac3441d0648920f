//! Drain and stop: nothing new, and everybody is answered once.

use crate::support::*;
use eddy_core::*;
use eddy_types::*;

#[test]
fn a_draining_shard_ends_what_runs_and_lets_it_call() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    let running = world.request(&a, "1", None);
    let turn = world.next_run();
    world.cores[0].drain();
    let refused = world.request(&b, "1", None);
    let (called, _) = world.call(&turn, &b, "1");
    world.end("2", writes("x", "1"));
    let done = TurnEnd::Returned(Ok(bytes::Bytes::from_static(b"1")), writes("x", "1"));
    world.end_turn(&turn, done, TurnPolicy::default());
    let said = [running, refused, called].map(|to| world.said(to));
    assert_eq!(said, ["1", "shutting-down", "2"]);
    assert_eq!(
        world.cores[0].next_wake(),
        Timestamp(u64::MAX),
        "nothing is to be done"
    );
}

#[test]
fn a_stop_answers_everybody_once_and_nothing_happens_afterwards() {
    let (mut world, a, b) = (World::new(1), agent("a"), agent("b"));
    world.holding = true;
    let mut waiting = vec![world.request(&a, "1", None)];
    world.end("1", writes("x", "1"));
    waiting.push(world.request(&a, "1", Some("k")));
    waiting.push(world.request(&a, "1", Some("k")));
    waiting.push(world.request(&a, "1", None));
    let turn = world.next_run();
    waiting.push(world.call(&turn, &b, "1").0);
    let error = EddyError::new(ErrorCode::JournalFailed, "gone");
    world.step(ShardId(0), |core, now, _, out| {
        core.append_failed(&error, now, out)
    });
    world.step(ShardId(0), |core, now, _, out| {
        core.append_failed(&error, now, out)
    });
    world.fail_turn(&turn);
    waiting.push(world.request(&b, "1", Some("k")));
    world.flush();
    for reply in waiting {
        assert_eq!(world.said(reply), "journal-failed");
    }
    assert_eq!(
        (
            world.runs.len(),
            world.cores[0].running(),
            world.cores[0].waiting()
        ),
        (0, 0, 0)
    );
    assert_eq!(world.stores[0].state(&a, "x"), Ok(None));
}
