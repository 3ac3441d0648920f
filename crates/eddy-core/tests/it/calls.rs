//! Calls: circles are refused or broken, deadlines end waits, repeats must ask for the same.

use crate::support::*;
use eddy_core::*;
use eddy_types::*;
use std::time::Duration;

/// Starts a turn of each agent, the oldest first.
fn busy(world: &mut World, agents: &[&AgentId]) -> Vec<TurnStart> {
    let mut turns = Vec::new();
    for agent in agents {
        world.now = world.now.plus(Duration::from_secs(1));
        world.request(agent, "1", None);
        turns.push(world.next_run());
    }
    turns
}

#[test]
fn a_call_back_to_an_agent_that_waits_is_refused_at_once() {
    let (mut world, a, b) = (World::new(4), agent("a"), agent("b"));
    let turn = busy(&mut world, &[&a]).remove(0);
    let (itself, _) = world.call(&turn, &a, "1");
    let (_, _) = world.call(&turn, &b, "1");
    let nested = world.next_run();
    let (back, _) = world.call(&nested, &a, "1");
    assert_eq!(
        [itself, back].map(|to| world.said(to)),
        ["call-cycle", "call-cycle"]
    );
}

#[test]
fn calls_are_nested_up_to_a_limit() {
    let mut world = World::new(4);
    let mut turn = busy(&mut world, &[&agent("0")]).remove(0);
    for depth in 1..=limits::MAX_CALL_DEPTH {
        world.call(&turn, &agent(&depth.to_string()), "1");
        turn = world.next_run();
    }
    let (reply, _) = world.call(&turn, &agent("deep"), "1");
    assert_eq!(world.said(reply), "call-depth");
}

#[test]
fn the_youngest_of_chains_that_wait_for_each_other_is_given_up() {
    for count in [2, 3] {
        for last in 0..count {
            let mut world = World::new(4);
            let agents: Vec<_> = ["a", "b", "c"][..count]
                .iter()
                .map(|key| agent(key))
                .collect();
            let turns = busy(&mut world, &agents.iter().collect::<Vec<_>>());
            // Whoever closes the circle, the youngest root loses.
            let order = (0..count).map(|n| (n + last) % count);
            let mut replies = vec![0; count];
            for n in order {
                replies[n] = world.call(&turns[n], &agents[(n + 1) % count], "1").0;
            }
            for (n, reply) in replies.into_iter().enumerate() {
                let expected = if n == count - 1 { "deadlock" } else { "-" };
                assert_eq!(world.said(reply), expected, "{n} of {count}, {last}");
            }
        }
    }
}

#[test]
fn a_deadlock_through_a_function_is_found() {
    let (mut world, a, b) = (World::new(4), agent("a"), agent("b"));
    let turns = busy(&mut world, &[&a, &b]);
    // A function that the first turn waits for calls b.
    let chain = turns[0].chain.under(&a, turns[0].turn);
    let (shard, turn, call) = (turns[0].turn.shard, turns[0].turn, MessageId(9));
    world.step(shard, |core, _, _, _| core.note_call(turn, call, b.clone()));
    let of_function = world.ask(&b, "1", None, |message| {
        (message.id, message.chain) = (call, chain.through_function());
    });
    let (younger, _) = world.call(&turns[1], &a, "1");
    assert_eq!(
        [of_function, younger].map(|to| world.said(to)),
        ["-", "deadlock"]
    );
}

#[test]
fn a_deadline_ends_the_wait_in_the_mailbox() {
    let (mut world, a) = (World::new(1), agent("a"));
    world.request(&a, "1", None);
    let deadline = Some(world.now.plus(Duration::from_secs(1)));
    let ticked = world.ask(&a, "1", None, |message| message.deadline = deadline);
    world.pass(Duration::from_secs(1));
    let late = world.ask(&a, "1", None, |message| message.deadline = deadline);
    let soon = Some(world.now.plus(Duration::from_secs(1)));
    let unticked = world.ask(&a, "1", None, |message| message.deadline = soon);
    world.now = world.now.plus(Duration::from_secs(1));
    world.end("1", Effects::default());
    for reply in [ticked, late, unticked] {
        assert_eq!(world.said(reply), "deadline-exceeded");
    }
    assert!(world.runs.is_empty());
}

#[test]
fn a_repeated_turn_gets_its_answers_again_or_has_diverged() {
    let (mut world, a, b) = (World::new(4), agent("a"), agent("b"));
    let attempt = |world: &mut World, argument: &str| {
        let id = |message: &mut Message<u32>| message.id = MessageId(5);
        world.ask(&a, "1", Some("k"), id);
        let turn = world.next_run();
        let (reply, _) = world.call(&turn, &b, argument);
        (turn, reply)
    };
    let (turn, first) = attempt(&mut world, "1");
    world.end("7", writes("x", "1"));
    world.fail_turn(&turn);
    let (turn, again) = attempt(&mut world, "1");
    world.fail_turn(&turn);
    let (_, other) = attempt(&mut world, "2");
    let said = [first, again, other].map(|to| world.said(to));
    assert_eq!(said, ["7", "7", "call-diverged"]);
    assert!(world.runs.is_empty());
}
