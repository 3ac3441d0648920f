//! The state of agents with durability `none`: in memory only, bounded per shard.

use crate::record::Value;
use crate::share::{Amount, Held};
use eddy_types::limits::MAX_OVERLAY_BYTES;
use eddy_types::{AgentId, EddyError, ErrorCode, HashMap};
use std::collections::BTreeMap;

/// What an entry takes beside its key and value, roughly.
const ENTRY_BYTES: usize = 64;

/// How much there may be; entries are not bounded by their number.
const MOST: Amount = Amount {
    entries: usize::MAX,
    bytes: MAX_OVERLAY_BYTES,
};

/// Memory-only state by agent.
#[derive(Debug, Default)]
pub(crate) struct Volatile {
    agents: HashMap<AgentId, BTreeMap<String, Value>>,
    held: Held,
}

impl Volatile {
    /// The state of an agent that has some.
    pub(crate) fn of(&self, agent: &AgentId) -> Option<&BTreeMap<String, Value>> {
        self.agents.get(agent)
    }

    pub(crate) fn contains(&self, agent: &AgentId) -> bool {
        self.agents.contains_key(agent)
    }

    /// `overloaded` when the writes would grow beyond the limit.
    pub(crate) fn check_room(
        &self,
        agent: &AgentId,
        writes: &BTreeMap<String, Option<Value>>,
    ) -> Result<(), EddyError> {
        let state = self.agents.get(agent);
        let old = |key: &String| Some(size(key, state?.get(key)?));
        let (mut grown, mut freed) = (0, 0);
        for (key, value) in writes {
            grown += value.as_ref().map_or(0, |value| size(key, value));
            freed += old(key).unwrap_or(0);
        }
        let more = Amount {
            entries: 0,
            bytes: grown.saturating_sub(freed),
        };
        if grown <= freed || self.held.has_room(agent.tenant(), more, MOST) {
            return Ok(());
        }
        Err(EddyError::new(
            ErrorCode::Overloaded,
            "the memory for agents with durability `none` is full",
        )
        .hint("Delete state that is not needed, or use durability `relaxed`."))
    }

    pub(crate) fn write(&mut self, agent: &AgentId, writes: BTreeMap<String, Option<Value>>) {
        if writes.is_empty() {
            return;
        }
        let state = self.agents.entry(agent.clone()).or_default();
        for (key, value) in writes {
            if let Some(old) = state.remove(&key) {
                self.held.remove(agent.tenant(), size(&key, &old));
            }
            if let Some(value) = value {
                self.held.add(agent.tenant(), size(&key, &value));
                state.insert(key, value);
            }
        }
        if state.is_empty() {
            self.agents.remove(agent);
        }
    }

    pub(crate) fn remove(&mut self, agent: &AgentId) {
        let state = self.agents.remove(agent).unwrap_or_default();
        for (key, value) in &state {
            self.held.remove(agent.tenant(), size(key, value));
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn size(key: &str, value: &Value) -> usize {
    ENTRY_BYTES + key.len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::{Key, Name, TenantId};
    use proptest::prelude::*;

    fn agent(key: u8) -> AgentId {
        let (name, key) = (Name::new("a").unwrap(), Key::new(&key.to_string()).unwrap());
        AgentId::new(TenantId::default_tenant(), name, key)
    }

    proptest! {
        /// The count is the size of what is held, whatever was replaced, removed or deleted.
        #[test]
        fn bytes_are_what_is_held(
            steps in proptest::collection::vec((0u8..3, 0u8..4, proptest::option::of(0usize..50)), 0..60),
        ) {
            let mut volatile = Volatile::default();
            for (who, key, value) in steps {
                if key == 3 {
                    volatile.remove(&agent(who));
                    continue;
                }
                let value = value.map(|len| Value::Bytes(vec![0; len].into()));
                volatile.write(&agent(who), [(key.to_string(), value)].into());
                let held = volatile.agents.values().flatten();
                prop_assert_eq!(volatile.held.total().bytes, held.map(|(key, value)| size(key, value)).sum::<usize>());
                prop_assert!(volatile.agents.values().all(|state| !state.is_empty()));
            }
        }
    }
}
