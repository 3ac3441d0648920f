//! Building and taking apart keys. Numbers are big-endian and text that is followed by another
//! part ends in a zero byte, which neither names nor agent keys can hold: byte order is the order
//! of the parts, and no key is a beginning of another one of its table.

use crate::codec::damaged;
use eddy_types::{AgentId, EddyError, Key, Name, ShardId, TenantId};
use smallvec::SmallVec;
use std::ops::Bound;

/// The table of a row: the third byte of its key. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    Meta = 0,
    Applied = 1,
    Agent = 2,
    State = 3,
    Dedupe = 4,
    DedupeExpiry = 5,
    Outbox = 6,
    OutboxLast = 7,
    Inbox = 8,
    Timer = 9,
    TimerByTime = 10,
    Invocation = 11,
    InvocationByTime = 12,
    InvocationExpiry = 13,
    InvocationUnfinished = 14,
    DeadLetter = 15,
    DeadLetterByTime = 16,
    MessageIds = 17,
}

/// Bytes before the parts of a table: shard and table.
pub(crate) const HEAD: usize = 3;

/// A key, or the beginning that several keys share. On the stack for all but long keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyBuf(SmallVec<[u8; 96]>);

impl KeyBuf {
    pub(crate) fn new(shard: ShardId, table: Table) -> Self {
        let mut bytes = SmallVec::new();
        bytes.extend_from_slice(&shard.0.to_be_bytes());
        bytes.push(table as u8);
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Text that other parts follow; it holds no zero byte.
    pub(crate) fn name(&mut self, text: &str) -> &mut Self {
        debug_assert!(
            !text.contains('\0'),
            "names and agent keys hold no zero byte"
        );
        self.bytes(text.as_bytes()).bytes(&[0])
    }

    pub(crate) fn agent(&mut self, agent: &AgentId) -> &mut Self {
        self.name(agent.tenant().as_str())
            .name(agent.agent_type().as_str())
            .name(agent.key().as_str())
    }

    /// Where the keys with this beginning end. A key begins with a shard that is not 0xFFFF, or
    /// with a table that is not 0xFF, so there is such a place.
    pub(crate) fn end(&self) -> Self {
        let mut end = self.clone();
        while end.0.last() == Some(&0xFF) {
            end.0.pop();
        }
        if let Some(last) = end.0.last_mut() {
            *last += 1;
        }
        end
    }

    /// The bounds of all keys with this beginning, for [`crate::rows::Rows::range`].
    pub(crate) fn all(&self) -> (Bound<&[u8]>, KeyBuf) {
        (Bound::Included(self), self.end())
    }
}

impl std::ops::Deref for KeyBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Takes a key apart, part by part.
pub(crate) struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// The parts after shard and table.
    pub(crate) fn new(key: &'a [u8]) -> Self {
        Self(key.get(HEAD..).unwrap_or_default())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], EddyError> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| damaged("a key"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, EddyError> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, EddyError> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, EddyError> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, EddyError> {
        self.take().map(u128::from_be_bytes)
    }

    pub(crate) fn name(&mut self) -> Result<&'a str, EddyError> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| damaged("a key"))?;
        let (name, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(name).map_err(|_| damaged("a key"))
    }

    pub(crate) fn agent(&mut self) -> Result<AgentId, EddyError> {
        let tenant = TenantId::new(self.name()?)?;
        let agent_type = Name::new(self.name()?)?;
        Ok(AgentId::new(tenant, agent_type, Key::new(self.name()?)?))
    }

    /// The last part, as text.
    pub(crate) fn text(self) -> Result<&'a str, EddyError> {
        std::str::from_utf8(self.0).map_err(|_| damaged("a key"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_agent() -> impl Strategy<Value = AgentId> {
        ("[a-b_]{1,2}", "[a-b]{1,2}", "[a-b€/ ]{1,3}").prop_map(|(tenant, name, key)| {
            AgentId::new(
                TenantId::new(&tenant).unwrap(),
                Name::new(&name).unwrap(),
                Key::new(&key).unwrap(),
            )
        })
    }

    proptest! {
        #[test]
        fn byte_order_is_the_order_of_the_parts(
            a in (any_agent(), "\\PC{0,3}|[\0a-b]{0,3}"),
            b in (any_agent(), "\\PC{0,3}|[\0a-b]{0,3}"),
        ) {
            let key = |(agent, last): &(AgentId, String)| {
                let mut key = KeyBuf::new(ShardId(7), Table::State);
                key.agent(agent).bytes(last.as_bytes());
                key
            };
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
            let key = key(&a);
            let mut reader = KeyReader::new(&key);
            prop_assert_eq!((reader.agent().unwrap(), reader.text().unwrap().to_owned()), a);
        }

        #[test]
        fn the_end_lies_after_every_key_with_the_beginning(
            head in proptest::collection::vec(0xFCu8.., 0..4),
            tail in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut from = KeyBuf::new(ShardId(1), Table::State);
            from.bytes(&head);
            let mut key = from.clone();
            key.bytes(&tail);
            prop_assert!(from <= key && key < from.end());
            prop_assert!(!from.end().starts_with(&from));
        }
    }
}
