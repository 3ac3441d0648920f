//! What a turn reads is a plain map with its own writes over earlier turns over the store, and
//! records survive their codec.

use crate::support::*;
use eddy_core::model::MemoryStore;
use eddy_core::*;
use eddy_types::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A key, and its new value; a number above 9 deletes the agent.
fn steps() -> impl Strategy<Value = Vec<(String, Option<u8>)>> {
    proptest::collection::vec(("[ab]{1,3}", proptest::option::of(0u8..12)), 0..40)
}

fn value(number: u8) -> Value {
    json(&number.to_string())
}

fn change(key: &str, new: Option<u8>) -> Change {
    let (agent, key) = (agent("a"), key.to_owned());
    match new {
        Some(10..) => Change::AgentDeleted { agent },
        Some(new) => Change::StatePut {
            agent,
            key,
            value: value(new),
        },
        None => Change::StateDelete { agent, key },
    }
}

fn apply(model: &mut BTreeMap<String, Value>, key: &str, new: Option<u8>) {
    match new {
        Some(10..) => model.clear(),
        Some(new) => drop(model.insert(key.to_owned(), value(new))),
        None => drop(model.remove(key)),
    }
}

proptest! {
    #[test]
    fn reads_are_those_of_a_plain_map(
        steps in steps(),
        own in steps(),
        cut in 0usize..40,
        (prefix, after, limit) in ("[ab]{0,2}", proptest::option::of("[ab]{1,3}"), 0usize..8),
    ) {
        let (mut model, mut store, mut overlay) =
            (BTreeMap::new(), MemoryStore::default(), Overlay::default());
        for (seq, (key, new)) in (1..).map(Seq).zip(&steps) {
            apply(&mut model, key, *new);
            let changes = vec![change(key, *new)];
            let record = Arc::new(Record { at: Timestamp(1), changes });
            overlay.push(seq, record.clone(), 1);
            if seq.0 <= cut as u64 {
                store.apply(&[(seq, record)]).unwrap();
            }
        }
        // The store may be ahead of what the overlay has heard of.
        overlay.applied(Seq(cut as u64 / 2));
        let mut effects = Effects::default();
        for (key, new) in &own {
            let new = new.filter(|new| *new < 10);
            apply(&mut model, key, new);
            match new {
                Some(new) => effects.set(key, value(new)).unwrap(),
                None => effects.delete(key).unwrap(),
            }
        }
        let agent = agent("a");
        let reads =
            TurnReads { agent: &agent, effects: &effects, overlay: &overlay, volatile: None };
        for key in ["a", "ab", "bbb"] {
            prop_assert_eq!(reads.get(key).or_ask(|| store.state(&agent, key)).unwrap(), model.get(key).cloned());
        }
        let wanted = |key: &String| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| key > after);
        let expected: Vec<_> = model.into_iter().filter(|(key, _)| wanted(key)).take(limit).collect();
        let range = Range { prefix: &prefix, after: after.as_deref(), limit };
        prop_assert_eq!(reads.range(range).over(&agent, &store, range).unwrap(), expected);
    }

    #[test]
    fn a_record_survives_its_codec_and_nothing_less_is_one(steps in steps(), cut in 1usize..100) {
        let changes = steps.iter().map(|(key, new)| change(key, *new)).collect();
        let record = Record { at: Timestamp(7), changes };
        let bytes = record.encode().unwrap();
        prop_assert_eq!(Record::decode(&bytes).unwrap(), record);
        let shorter = &bytes[..bytes.len().saturating_sub(cut)];
        prop_assert!(Record::decode(shorter).is_err());
        prop_assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn decoding_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0u8..3) {
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        let _ = Record::decode(&bytes);
    }
}
