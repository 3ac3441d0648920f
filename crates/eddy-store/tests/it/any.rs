//! Random changes over a handful of names, so that they meet each other often.

use eddy_core::{
    Change, DeadLetter, DeadLetterId, DedupeKey, DedupeRow, DedupeScope, InvocationRow, MessageId,
    Record, SendRow, Sender, Timer, Value,
};
use eddy_types::{
    AgentId, Digest, EddyError, ErrorCode, FunctionId, Key, MethodName, Name, Seq, ShardId,
    TenantId, Timestamp,
};
use proptest::prelude::*;
use std::sync::Arc;

pub fn agent_at(tenant: &str, agent_type: &str, key: &str) -> AgentId {
    AgentId::new(
        TenantId::new(tenant).unwrap(),
        Name::new(agent_type).unwrap(),
        Key::new(key).unwrap(),
    )
}

/// Every agent that random changes name; some keys begin another.
pub fn agents() -> Vec<AgentId> {
    let at = |(tenant, agent_type, key)| agent_at(tenant, agent_type, key);
    [
        ("t", "a", "k"),
        ("t", "a", "kk"),
        ("t", "ab", "k"),
        ("u", "a", "k"),
    ]
    .map(at)
    .to_vec()
}

/// Every name of state keys and timers in random changes.
pub const NAMES: [&str; 4] = ["", "a", "a\0b", "ab"];

fn any_agent() -> impl Strategy<Value = AgentId> {
    proptest::sample::select(agents())
}

fn any_name() -> impl Strategy<Value = String> {
    proptest::sample::select(NAMES.to_vec()).prop_map(str::to_owned)
}

/// Every scope in random changes.
pub fn scopes() -> [DedupeScope; 2] {
    let (tenant, name) = (TenantId::new("t").unwrap(), Name::new("a").unwrap());
    [
        DedupeScope::Agent(agents().remove(0)),
        DedupeScope::Function(FunctionId { tenant, name }),
    ]
}

/// Every key in random changes.
pub fn dedupe_keys() -> [DedupeKey; 3] {
    let client = |key: &str| DedupeKey::Client(key.to_owned());
    [client("x"), client("xy"), DedupeKey::Effect(MessageId(7))]
}

pub fn method() -> MethodName {
    MethodName::new("add").unwrap()
}

fn agent_change() -> impl Strategy<Value = Change> {
    let timer = |(agent, name, at, generation)| {
        let (at, generation) = (Timestamp(at), Seq(generation));
        let timer = Timer {
            at,
            method: method(),
            argument: "1".into(),
            generation,
        };
        Change::TimerPut { agent, name, timer }
    };
    let value = prop_oneof![
        any::<u8>().prop_map(|n| Value::Json(n.to_string().into())),
        any::<u8>().prop_map(|n| Value::Bytes(vec![n; usize::from(n)].into())),
    ];
    prop_oneof![
        2 => any_agent().prop_map(|agent| Change::AgentTouched { agent }),
        4 => (any_agent(), any_name(), value)
            .prop_map(|(agent, key, value)| Change::StatePut { agent, key, value }),
        1 => (any_agent(), any_name()).prop_map(|(agent, key)| Change::StateDelete { agent, key }),
        1 => any_agent().prop_map(|agent| Change::AgentDeleted { agent }),
        3 => (any_agent(), any_name(), 0u64..20, any::<u64>()).prop_map(timer),
        1 => (any_agent(), any_name()).prop_map(|(agent, name)| Change::TimerDelete { agent, name }),
    ]
}

pub fn send() -> SendRow {
    let to = agents().remove(1);
    let from = Sender::Agent(agents().remove(0));
    SendRow {
        from,
        to,
        method: method(),
        argument: "2".into(),
    }
}

fn letter(to: AgentId, at: u64) -> DeadLetter {
    DeadLetter {
        from: Sender::Invocation(MessageId(1)),
        to,
        method: method(),
        argument: "3".into(),
        timer: None,
        error: EddyError::new(ErrorCode::GuestTrap, "no"),
        attempts: 8,
        at: Timestamp(at),
    }
}

/// An invocation of tenant `t` accepted at `queued`; it expires 10 after it has ended.
pub fn invocation(queued: u64, ended: Option<u64>) -> InvocationRow {
    InvocationRow {
        tenant: TenantId::new("t").unwrap(),
        function: Name::new("hello").unwrap(),
        argument: "4".into(),
        queued: Timestamp(queued),
        ended: ended.map(Timestamp),
        outcome: ended.map(|_| Ok("5".into())),
        attempts: 1,
        key: None,
        expires: ended.map(|ended| Timestamp(ended + 10)),
    }
}

fn delivery_change() -> impl Strategy<Value = Change> {
    let dedupe = |(scope, key, expires): (usize, usize, u64)| {
        let (scope, key) = (scopes()[scope].clone(), dedupe_keys()[key].clone());
        let (digest, expires) = (Digest::of(&expires.to_be_bytes()), Timestamp(expires));
        Change::DedupePut {
            scope,
            key,
            row: DedupeRow {
                digest,
                outcome: Ok("1".into()),
                expires,
            },
        }
    };
    let letter_id = |(seq, index)| DeadLetterId {
        seq: Seq(seq),
        index,
    };
    prop_oneof![
        (0usize..2, 0usize..3, 0u64..40).prop_map(dedupe),
        (0u16..2, 1u64..9).prop_map(|(dest, seq)| Change::OutboxPut {
            dest: ShardId(dest),
            seq,
            send: send()
        }),
        (0u16..2, 1u64..9).prop_map(|(dest, seq)| Change::OutboxDone {
            dest: ShardId(dest),
            seq
        }),
        (0u16..2, 1u64..9, 0u64..9).prop_map(|(source, seq, floor)| {
            Change::InboxMark {
                source: ShardId(source),
                seq,
                floor,
            }
        }),
        (0u64..3, 0u32..2, any_agent(), 0u64..9).prop_map(move |(seq, index, to, at)| {
            Change::DeadLetterPut {
                id: letter_id((seq, index)),
                letter: letter(to, at),
            }
        }),
        (0u64..3, 0u32..2).prop_map(move |id| Change::DeadLetterDelete { id: letter_id(id) }),
        (0u128..4, 0u64..9, proptest::option::of(0u64..20)).prop_map(|(id, queued, ended)| {
            Change::InvocationPut {
                id: MessageId(id),
                row: invocation(queued, ended),
            }
        }),
    ]
}

/// Records without numbers.
pub fn records() -> impl Strategy<Value = Vec<Record>> {
    let change = prop_oneof![3 => agent_change(), 2 => delivery_change()];
    let changes = proptest::collection::vec(change, 0..6);
    let record = (0u64..50, changes).prop_map(|(at, changes)| Record {
        at: Timestamp(at),
        changes,
    });
    proptest::collection::vec(record, 1..12)
}

/// Numbers records from `first`.
pub fn numbered(first: u64, records: Vec<Record>) -> Vec<(Seq, Arc<Record>)> {
    (first..)
        .map(Seq)
        .zip(records.into_iter().map(Arc::new))
        .collect()
}
