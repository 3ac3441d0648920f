//! What the tenants of a shard share: one that takes all it can get leaves room for the next one.

use crate::support::*;
use bytes::Bytes;
use eddy_core::*;
use eddy_types::*;
use std::time::Duration;

fn of(tenant: &str, key: &str) -> AgentId {
    let tenant = TenantId::new(tenant).unwrap();
    AgentId::new(tenant, Name::new("a").unwrap(), Key::new(key).unwrap())
}

/// Something so large that some seventy of it fill a shard.
fn large() -> String {
    format!("\"{}\"", "x".repeat(limits::MAX_PAYLOAD_BYTES - 2))
}

/// Does something of tenant `a` until it is refused, and then of `b`, which is not. Answers with how
/// many of `a` were not refused.
fn contend(mut attempt: impl FnMut(&str, usize) -> bool) -> usize {
    let most = (0..2000).take_while(|n| attempt("a", *n)).count();
    assert!((1..2000).contains(&most), "it was never refused");
    assert!(!attempt("a", 2000), "nor is there more of it later");
    assert!(attempt("b", 2001), "the other one has room");
    most
}

#[test]
fn mailboxes_that_are_full_of_one_take_messages_of_another() {
    let mut world = World::new(1);
    let large = large();
    let bytes = contend(|tenant, n| {
        let busy = of(tenant, &n.to_string());
        world.request(&busy, "1", None);
        let waits = world.request(&busy, &large, None);
        world.said(waits) != "overloaded"
    });
    assert_eq!(
        bytes,
        limits::MAX_WAITING_BYTES / limits::MAX_PAYLOAD_BYTES + 1
    );
}

#[test]
fn an_outbox_that_is_full_of_one_takes_sends_of_another() {
    let mut world = World::new(1);
    world.held = Some(Vec::new());
    let large = large();
    let bytes = contend(|tenant, n| {
        let reply = world.request(&of(tenant, &n.to_string()), "1", None);
        world.end("1", sends(&of(tenant, "to"), &[&large]));
        world.said(reply) != "overloaded"
    });
    assert_eq!(
        bytes,
        limits::MAX_WAITING_BYTES / limits::MAX_PAYLOAD_BYTES + 1
    );
}

#[test]
fn a_refusal_tells_of_no_sends_but_the_own() {
    let mut world = World::new(1);
    world.held = Some(Vec::new());
    let many = vec!["1"; limits::MAX_SENDS_PER_TURN];
    let mut turn = |tenant: &str| {
        let from = of(tenant, "from");
        let reply = world.request(&from, "1", None);
        world.end("1", sends(&of(tenant, "to"), &many));
        world.detail(reply)
    };
    let mut told = |tenant| (0..100).find_map(|_| turn(tenant)).expect("it is full");
    assert!(told("a").starts_with("65536 sends"));
    assert!(told("b").starts_with("32768 sends"));
}

#[test]
fn durable_invocations_of_one_leave_room_for_those_of_another() {
    let mut world = World::new(1);
    let most = contend(|tenant, n| {
        let reply = world.reply_slot();
        let request = FunctionRequest {
            id: MessageId(n as u128),
            function: FunctionId {
                tenant: TenantId::new(tenant).unwrap(),
                name: Name::new("f").unwrap(),
            },
            argument: Bytes::from_static(b"1"),
            key: None,
            background: true,
            reply,
            deadline: None,
            chain: CallChain::root(world.now),
        };
        world.step(ShardId(0), |core, now, view, out| {
            core.submit_function(request, now, view, out);
        });
        world.said(reply) != "overloaded"
    });
    assert_eq!(most, limits::MAX_MAILBOX);
}

#[test]
fn one_that_runs_ahead_of_the_disk_holds_nobody_else_up() {
    let mut world = World::new(1);
    world.holding = true;
    let large = large();
    contend(|tenant, n| {
        let reply = world.request(&of(tenant, &n.to_string()), "1", None);
        let admitted = world.said(reply) != "overloaded";
        if admitted {
            world.end("1", writes("k", &large));
        }
        admitted
    });
    world.flush();
    let reply = world.request(&of("a", "x"), "1", None);
    assert_eq!(world.said(reply), "-", "there is room again");
}

#[test]
fn state_in_memory_is_shared_as_well() {
    let mut world = World::new(1);
    let large = large();
    contend(|tenant, n| {
        let reply = world.request(&of(tenant, &n.to_string()), "1", None);
        let end = TurnEnd::Returned(Ok(Bytes::from_static(b"1")), writes("k", &large));
        world.end_with(end, durability(Durability::None));
        world.said(reply) != "overloaded"
    });
    world.delete(&of("a", "0"), None);
    let reply = world.request(&of("b", "0"), "1", None);
    let end = TurnEnd::Returned(Ok(Bytes::from_static(b"1")), writes("k", &large));
    world.end_with(end, durability(Durability::None));
    assert_eq!(world.said(reply), "1", "what was deleted is free");
}

/// What all timers of a moment carry never is in memory at once.
#[test]
fn timers_of_one_that_fire_leave_room_for_those_of_another() {
    const TIMERS: usize = 100;
    let mut world = World::new(1);
    let large = Bytes::from(large());
    let set = |world: &mut World, to: &AgentId| {
        let mut effects = Effects::default();
        let second = Duration::from_secs(1);
        effects
            .set_timer("t", world.now, second, method(), large.clone())
            .unwrap();
        world.request(to, "1", None);
        world.end("1", effects);
    };
    (0..TIMERS).for_each(|n| set(&mut world, &of("a", &n.to_string())));
    set(&mut world, &of("b", "0"));
    world.crash();
    world.now = world.now.plus(Duration::from_secs(1));
    let firing = |world: &mut World| {
        while world.cores[0].next_wake() <= world.now {
            world.pass(Duration::ZERO);
        }
        world.runs.len()
    };
    let most = limits::MAX_WAITING_BYTES / limits::MAX_PAYLOAD_BYTES + 1;
    assert_eq!(firing(&mut world), most + 1, "and one of the other tenant");
    let other = |run: &TurnStart| run.agent == of("b", "0");
    assert!(world.runs.iter().any(other));
    for _ in 0..=TIMERS {
        world.end("1", Effects::default());
        assert!(firing(&mut world) <= most + 1);
    }
    let left = world.stores[0].timers_until(world.now, None, 1);
    assert_eq!((world.runs.len(), left), (0, Ok(vec![])), "each fired once");
}
