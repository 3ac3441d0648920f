//! What the simulator found once, each in its shortest form.

use bytes::Bytes;
use eddy_core::model::MemoryStore;
use eddy_core::{
    Action, CallChain, Change, Delivery, DeliveryResult, Effects, FunctionEnd, FunctionRequest,
    Message, MessageId, Operation, Origin, Outgoing, Record, SendRow, Sender, ShardCore, TurnEnd,
    TurnPolicy, TurnStart,
};
use eddy_types::{
    AgentId, Durability, EddyError, ErrorCode, FunctionId, Key, MethodName, Name, RetryPolicy, Seq,
    ShardId, ShardMap, TenantId, Timestamp,
};
use std::time::Duration;

type Core = ShardCore<u32>;
type Actions = Vec<Action<u32>>;

const NOW: Timestamp = Timestamp(1_000_000);

fn core() -> Core {
    let store = MemoryStore::default();
    let map = ShardMap::new(1);
    ShardCore::open(ShardId(0), map, Seq(0), NOW, &store, &mut Vec::new()).expect("it opens")
}

fn agent(key: &str) -> AgentId {
    let (kind, key) = (
        Name::new("a").expect("valid"),
        Key::new(key).expect("valid"),
    );
    AgentId::new(TenantId::default_tenant(), kind, key)
}

fn method() -> MethodName {
    MethodName::new("m").expect("valid")
}

fn outgoing(to: &str) -> Outgoing {
    Outgoing {
        to: agent(to),
        method: method(),
        argument: Bytes::from_static(b"1"),
    }
}

fn delivery(seq: u64, attempt: u32) -> Delivery {
    let outgoing = outgoing("target");
    let send = SendRow {
        from: Sender::Agent(agent("source")),
        to: outgoing.to,
        method: outgoing.method,
        argument: outgoing.argument,
    };
    Delivery {
        source: ShardId(0),
        dest: ShardId(0),
        seq,
        floor: 1,
        attempt,
        send,
    }
}

fn request(reply: u32) -> Message<u32> {
    Message {
        id: MessageId(u128::from(reply)),
        to: agent("target"),
        operation: Operation::Method {
            method: method(),
            argument: Bytes::from_static(b"1"),
            read_only: false,
        },
        origin: Origin::Request { reply, key: None },
        deadline: None,
        chain: CallChain::root(NOW),
        retriable: false,
    }
}

fn turn(out: &mut Actions) -> TurnStart {
    let place = out
        .iter()
        .position(|action| matches!(action, Action::Run(_)));
    match out.remove(place.expect("a turn starts")) {
        Action::Run(start) => start,
        _ => unreachable!(),
    }
}

fn records(out: &Actions) -> Vec<Record> {
    let bytes = out.iter().filter_map(|action| match action {
        Action::Append { record, .. } => Some(record),
        _ => None,
    });
    bytes
        .map(|bytes| Record::decode(bytes).expect("it decodes"))
        .collect()
}

fn settled(out: &Actions) -> Option<&DeliveryResult> {
    out.iter().find_map(|action| match action {
        Action::Settle { result, .. } => Some(result),
        _ => None,
    })
}

fn trap() -> TurnEnd {
    TurnEnd::Failed(EddyError::new(ErrorCode::GuestTrap, "it trapped"))
}

/// A late copy of a delivery came after the send had been given up, and took effect as well as the
/// dead letter. And the letter and the end of the send were two records: a crash between kept both.
#[test]
fn a_send_given_up_never_takes_effect() {
    let (mut core, store, mut out) = (core(), MemoryStore::default(), Vec::new());
    let policy = TurnPolicy {
        retries: RetryPolicy {
            attempts: 2,
            ..RetryPolicy::default()
        },
        ..TurnPolicy::default()
    };
    core.deliver_send(delivery(1, 1), NOW, &store, &mut out);
    let first = turn(&mut out).turn;
    core.turn_ended(first, trap(), policy, NOW, &store, &mut out);
    assert!(matches!(settled(&out), Some(DeliveryResult::Failed { .. })));
    assert_eq!(records(&out), []);
    out.clear();

    core.deliver_send(delivery(1, 2), NOW, &store, &mut out);
    let last = turn(&mut out).turn;
    core.turn_ended(last, trap(), policy, NOW, &store, &mut out);
    let [record] = &records(&out)[..] else {
        panic!("one record, not {out:?}");
    };
    let has = |wanted: fn(&Change) -> bool| record.changes.iter().any(wanted);
    assert!(has(|change| matches!(change, Change::DeadLetterPut { .. })));
    assert!(has(|change| matches!(
        change,
        Change::InboxMark { seq: 1, .. }
    )));
    assert_eq!(
        settled(&out),
        None,
        "the source hears of it when it is durable"
    );

    core.durable(Seq(1), NOW, &mut out);
    assert_eq!(settled(&out), Some(&DeliveryResult::Done));
    out.clear();
    core.deliver_send(delivery(1, 1), NOW, &store, &mut out);
    assert!(!out.iter().any(|action| matches!(action, Action::Run(_))));
    assert_eq!(settled(&out), Some(&DeliveryResult::Done));
}

/// A function that ended with an error still sent what it had sent before the throw.
#[test]
fn an_error_of_a_function_discards_its_sends() {
    let (mut core, store, mut out) = (core(), MemoryStore::default(), Vec::new());
    let request = FunctionRequest {
        id: MessageId(7),
        function: FunctionId {
            tenant: TenantId::default_tenant(),
            name: Name::new("f").expect("valid"),
        },
        argument: Bytes::from_static(b"1"),
        key: Some("k".to_owned()),
        background: false,
        reply: 1,
        deadline: None,
        chain: CallChain::root(NOW),
    };
    core.submit_function(request, NOW, &store, &mut out);
    let error = EddyError::new(ErrorCode::GuestError, "it threw");
    let end = FunctionEnd::Returned(Err(error), vec![outgoing("target")]);
    core.function_ended(MessageId(7), end, NOW, &mut out);
    core.durable(Seq(1), NOW, &mut out);
    assert!(
        !out.iter()
            .any(|action| matches!(action, Action::Deliver(_)))
    );
    assert_eq!(records(&out)[0].changes.len(), 1, "the invocation alone");
}

/// The id of what a timer's handler calls is made of the record that set the timer. On an agent
/// with durability `relaxed` the call could leave before that record was durable; after a crash
/// another timer could have the same id, and its call was taken for the first one's.
#[test]
fn a_timers_call_waits_for_the_record_that_set_it() {
    let (mut core, store, mut out) = (core(), MemoryStore::default(), Vec::new());
    let policy = TurnPolicy {
        durability: Durability::Relaxed,
        ..TurnPolicy::default()
    };
    core.deliver(request(1), NOW, &store, &mut out);
    let first = turn(&mut out).turn;
    let (mut effects, argument) = (Effects::default(), Bytes::from_static(b"1"));
    effects
        .set_timer("t", NOW, Duration::ZERO, method(), argument.clone())
        .expect("within limits");
    let end = TurnEnd::Returned(Ok(Bytes::new()), effects);
    core.turn_ended(first, end, policy, NOW, &store, &mut out);
    core.tick(NOW, &store, &mut out).expect("the store works");
    let fired = turn(&mut out).turn;
    core.begin_call(
        fired,
        agent("other"),
        method(),
        argument,
        false,
        None,
        2,
        &mut out,
    )
    .expect("the turn runs");
    let called = |out: &Actions| {
        out.iter()
            .any(|action| matches!(action, Action::Message { .. }))
    };
    assert!(!called(&out));
    core.durable(Seq(1), NOW, &mut out);
    assert!(called(&out));
}

/// The node would wake it again and again for timers and retries that a stopping node leaves alone.
#[test]
fn a_drained_shard_does_not_ask_to_be_woken_for_what_it_will_not_do() {
    let (mut core, mut out) = (core(), Vec::new());
    core.drain();
    assert_eq!(core.next_wake(), Timestamp(u64::MAX));
    core.stop(
        &EddyError::new(ErrorCode::ShuttingDown, "it stops"),
        &mut out,
    );
    assert_eq!(core.next_wake(), Timestamp(u64::MAX));
}
