//! Durable invocations: accepted, resumed, joined, tried again, and their sends.

use crate::support::*;
use bytes::Bytes;
use eddy_core::*;
use eddy_types::*;
use std::time::Duration;

const ID: MessageId = MessageId(3);

fn submit(world: &mut World, argument: &str, background: bool) -> u32 {
    let reply = world.reply_slot();
    let request = FunctionRequest {
        id: ID,
        function: FunctionId {
            tenant: tenant(),
            name: Name::new("f").unwrap(),
        },
        argument: Bytes::from(argument.to_owned()),
        key: Some("k".to_owned()),
        background,
        reply,
        deadline: None,
        chain: CallChain::root(world.now),
    };
    world.step(ShardId(0), |core, now, view, out| {
        core.submit_function(request, now, view, out);
    });
    reply
}

fn end(world: &mut World, end: FunctionEnd) {
    world.functions.pop_front().expect("a function was to run");
    world.step(ShardId(0), |core, now, _, out| {
        core.function_ended(ID, end, now, out)
    });
}

fn returned(sends: Vec<Outgoing>) -> FunctionEnd {
    FunctionEnd::Returned(Ok(Bytes::from_static(b"7")), sends)
}

fn failed(code: ErrorCode) -> FunctionEnd {
    let retries = RetryPolicy {
        attempts: 2,
        ..RetryPolicy::default()
    };
    FunctionEnd::Failed(EddyError::new(code, "no"), retries)
}

#[test]
fn one_in_the_background_is_accepted_when_durable_and_goes_on_after_a_crash() {
    let mut world = World::new(1);
    world.holding = true;
    let accepted = submit(&mut world, "1", true);
    assert_eq!(
        (world.said(accepted), world.functions.len()),
        ("-".into(), 0)
    );
    world.flush();
    assert_eq!(
        (world.said(accepted), world.functions.len()),
        ("null".into(), 1)
    );
    world.crash();
    world.holding = false;
    let joined = submit(&mut world, "1", false);
    end(&mut world, returned(vec![outgoing(&agent("a"), "1")]));
    assert_eq!((world.said(joined), world.runs.len()), ("7".into(), 1));
    world.crash();
    assert!(world.functions.is_empty());
}

#[test]
fn a_key_is_joined_repeated_and_not_given_to_another_request() {
    let mut world = World::new(1);
    let (first, joined) = (
        submit(&mut world, "1", false),
        submit(&mut world, "1", false),
    );
    let other = submit(&mut world, "2", false);
    world.cores[0].drain();
    let draining = submit(&mut world, "1", false);
    end(&mut world, returned(Vec::new()));
    let (late, late_other) = (
        submit(&mut world, "1", false),
        submit(&mut world, "2", true),
    );
    for reply in [first, joined, draining, late] {
        assert_eq!(world.said(reply), "7");
    }
    for reply in [other, late_other] {
        assert_eq!(world.said(reply), "idempotency-mismatch");
    }
}

#[test]
fn one_in_the_background_is_tried_again_and_ends_with_its_last_error() {
    let mut world = World::new(1);
    submit(&mut world, "1", true);
    for code in [ErrorCode::ConcurrencyLimit, ErrorCode::AppUnavailable].repeat(3) {
        end(&mut world, failed(code));
        world.pass(Duration::from_secs(1));
    }
    end(&mut world, failed(ErrorCode::GuestTrap));
    world.pass(Duration::from_secs(1));
    end(&mut world, failed(ErrorCode::GuestTrap));
    let late = submit(&mut world, "1", false);
    assert_eq!(
        (world.said(late), world.functions.len()),
        ("guest-trap".into(), 0)
    );
}

#[test]
fn a_failure_that_somebody_waits_for_is_not_recorded() {
    let mut world = World::new(1);
    let passed_on = EddyError::new(ErrorCode::MailboxFull, "full");
    for failure in [
        failed(ErrorCode::GuestTrap),
        FunctionEnd::Returned(Err(passed_on), Vec::new()),
    ] {
        submit(&mut world, "1", false);
        end(&mut world, failure);
        assert_eq!(world.records, 0);
    }
}

#[test]
fn an_error_discards_the_sends_and_too_many_bytes_end_one_in_the_background() {
    let mut world = World::new(1);
    let large = outgoing(&agent("a"), &"x".repeat(600_000));
    submit(&mut world, "1", true);
    end(&mut world, returned(vec![large.clone(), large]));
    let late = submit(&mut world, "1", false);
    assert_eq!(
        (world.said(late), world.cores[0].outbox_len()),
        ("record-too-large".into(), 0)
    );
    let thrown = |mut world: World| {
        let reply = submit(&mut world, "1", false);
        let sends = vec![outgoing(&agent("a"), "1")];
        end(&mut world, FunctionEnd::Returned(Err(guest_error()), sends));
        (world.said(reply), world.runs.len())
    };
    assert_eq!(thrown(World::new(1)), ("guest-error".into(), 0));
    let reply = world.reply_slot();
    let sends = vec![outgoing(&agent("a"), "1")];
    let plain = PlainSends {
        id: MessageId(4),
        sends,
        outcome: Err(guest_error()),
        reply,
    };
    world.step(ShardId(0), |core, now, _, out| {
        core.commit_sends(plain, now, out)
    });
    assert_eq!(
        (world.said(reply), world.runs.len()),
        ("guest-error".into(), 0)
    );
}

#[test]
fn so_many_duplicates_wait_and_the_oldest_makes_room_for_the_newest() {
    let mut world = World::new(1);
    let all: Vec<_> = (0..limits::MAX_MAILBOX + 2)
        .map(|_| submit(&mut world, "1", false))
        .collect();
    let (gone, waiting) = all.split_at(2);
    assert!(gone.iter().all(|&one| world.said(one) == "overloaded"));
    end(&mut world, returned(Vec::new()));
    assert!(waiting.iter().all(|&one| world.said(one) == "7"));
}
