//! Names and addresses, validated when they are made, and the rule that maps a key to its shard.

use crate::error::{EddyError, ErrorCode};
use crate::limits::{MAX_KEY_BYTES, MAX_NAME_BYTES};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Position of a record in the journal of one shard. The first record has 1; 0 means "before all".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A shard: the unit of placement, ownership and replication.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ShardId(pub u16);

/// Which shard a key lives in. The number of shards is chosen when the data folder is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMap {
    count: u16,
}

impl ShardMap {
    /// A map over `count` shards; at least one.
    #[must_use]
    pub fn new(count: u16) -> Self {
        Self {
            count: count.max(1),
        }
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(self) -> u16 {
        self.count
    }

    /// All shards, in order.
    pub fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.count).map(ShardId)
    }

    /// `hash(tenant, key)`, not the type, so `cart/alice` and `profile/alice` live together.
    /// A non-empty `{tag}` inside the key hashes the tag only (Redis Cluster's rule).
    #[must_use]
    pub fn shard_of(self, tenant: &TenantId, key: &str) -> ShardId {
        let mut hasher = Xxh3::new();
        hasher.update(tenant.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(hash_tag(key).as_bytes());
        let bucket = hasher.digest() % u64::from(self.count);
        ShardId(u16::try_from(bucket).expect("a remainder of a u16 fits a u16"))
    }

    /// The shard of an agent.
    #[must_use]
    pub fn shard_of_agent(self, agent: &AgentId) -> ShardId {
        self.shard_of(agent.tenant(), agent.key().as_str())
    }
}

/// The part of a key that is hashed: between the first `{` and the next `}` when that is not empty.
fn hash_tag(key: &str) -> &str {
    let Some((_, rest)) = key.split_once('{') else {
        return key;
    };
    match rest.split_once('}') {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => key,
    }
}

/// Makes a validated, cheaply cloned string type.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps `text`; `invalid-name` says what is wrong with it.
            pub fn new(text: &str) -> Result<Self, EddyError> {
                $check($what, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(|error| de::Error::custom(error.detail))
            }
        }
    };
}

text_type!(
    /// The owner of apps and data. Every address belongs to one.
    TenantId, "tenant", check_name
);
text_type!(
    /// The name of an app, a function or an agent type.
    Name, "name", check_name
);
text_type!(
    /// The name of a method of an agent type.
    MethodName, "method", check_name
);
text_type!(
    /// The key of an agent within its type: 1 to 256 bytes of UTF-8 without control characters.
    Key, "key", check_key
);

impl TenantId {
    /// The name of the tenant that every node has.
    pub const DEFAULT: &str = "default";

    /// The tenant that every node has: whoever names no other acts for it.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self(Arc::from(Self::DEFAULT))
    }
}

fn check_name(what: &str, text: &str) -> Result<(), EddyError> {
    let first_ok = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest_ok = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if first_ok && rest_ok && text.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    Err(EddyError::new(
        ErrorCode::InvalidName,
        format!("{text:?} is not a valid {what}"),
    )
    .hint(format!(
        "Use 1 to {MAX_NAME_BYTES} letters, digits, '_' or '-', starting with a letter or '_'."
    )))
}

fn check_key(what: &str, text: &str) -> Result<(), EddyError> {
    if !text.is_empty() && text.len() <= MAX_KEY_BYTES && !text.contains(char::is_control) {
        return Ok(());
    }
    let shown: String = text.chars().take(40).collect();
    Err(EddyError::new(
        ErrorCode::InvalidName,
        format!("{shown:?} is not a valid {what}"),
    )
    .hint(format!(
        "Use 1 to {MAX_KEY_BYTES} bytes of UTF-8 without control characters."
    )))
}

/// A function of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionId {
    /// The tenant that deployed it.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: Name,
}

/// An agent's address: `type/key` in a tenant. Cheap to clone: one counter goes up.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Parts {
    tenant: TenantId,
    agent_type: Name,
    key: Key,
}

impl AgentId {
    /// The address of `agent_type/key` in `tenant`.
    #[must_use]
    pub fn new(tenant: TenantId, agent_type: Name, key: Key) -> Self {
        Self(Arc::new(Parts {
            tenant,
            agent_type,
            key,
        }))
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// The agent type.
    #[must_use]
    pub fn agent_type(&self) -> &Name {
        &self.0.agent_type
    }

    /// The key within the type.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.agent_type, self.0.key)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.0.tenant)
    }
}

impl Serialize for AgentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Arc::new(Parts::deserialize(deserializer)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_follow_redis_clusters_rule() {
        assert_eq!(hash_tag("plain"), "plain");
        assert_eq!(hash_tag("{user}.cart"), "user");
        assert_eq!(hash_tag("a{}b"), "a{}b");
        assert_eq!(hash_tag("a{b"), "a{b");
        assert_eq!(hash_tag("a{{b}}c"), "{b");
    }

    #[test]
    fn the_shard_of_a_key_never_changes() {
        // Stored data depends on these numbers: a change here is a change of format.
        let map = ShardMap::new(16);
        let tenant = TenantId::default_tenant();
        let shards: Vec<_> = ["alice", "bob", "{t}x", "{t}y"]
            .iter()
            .map(|k| map.shard_of(&tenant, k).0)
            .collect();
        assert_eq!(shards[2], shards[3]);
        assert_eq!(shards, [15, 13, 10, 10]);
    }

    #[test]
    fn bad_names_and_keys_are_refused() {
        for bad in ["", "1a", "a b", "ä", &"x".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert!(Key::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_has_a_shard(key in ".{1,64}", count in 1u16..=256) {
            let shard = ShardMap::new(count).shard_of(&TenantId::default_tenant(), &key);
            prop_assert!(shard.0 < count);
        }
    }
}
