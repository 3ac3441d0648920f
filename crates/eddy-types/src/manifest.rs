//! What `eddy.toml` says, as plain values: the same keys in TOML and in JSON. Finding and reading
//! the file is eddy-bundle's; docs/manifest.md is the reference.

mod example;
mod resolve;
mod routes;
mod values;

pub use example::Example;
pub use resolve::Definition;
pub use routes::RoutePrefix;
pub use values::{Attempts, Concurrency, EnvName, Host, Memory, Timeout, Wait};

use crate::address::Name;
use crate::app::Durability;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A secret NAME is what this and NAME is set to in the node's environment.
pub const SECRET_PREFIX: &str = "EDDY_SECRET_";

/// An app as its author describes it. Functions and agent types come from the code itself;
/// the manifest only tunes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The app's name.
    pub name: Name,
    /// Where the code is, by component name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<Name, ComponentSource>,
    /// Settings of functions by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<Name, FunctionSettings>,
    /// Settings of agent types by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<Name, AgentSettings>,
    /// Which component answers HTTP requests to which paths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RoutePrefix, Name>,
    /// Settings of everything that has none of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// Environment variables of the app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<EnvName, EnvValue>,
    /// What the app may reach.
    #[serde(default, skip_serializing_if = "is_default")]
    pub capabilities: CapabilitySettings,
    /// Requests to try, shown when a node starts with the app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

impl Manifest {
    /// The manifest of an app that sets nothing but its name.
    #[must_use]
    pub fn named(name: Name) -> Self {
        Self {
            name,
            components: BTreeMap::new(),
            functions: BTreeMap::new(),
            agents: BTreeMap::new(),
            routes: BTreeMap::new(),
            defaults: Defaults::default(),
            env: BTreeMap::new(),
            capabilities: CapabilitySettings::default(),
            examples: Vec::new(),
        }
    }
}

/// Where the code of a component is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentSource {
    /// A source file or a WebAssembly component, relative to the folder of `eddy.toml`.
    pub path: String,
}

/// `[functions.NAME]` or `[defaults.functions]`: what is not set comes from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSettings {
    /// Longest time one invocation may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// Memory of one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Invocations that may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How a durable invocation is tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: RetrySettings,
}

/// `[agents.TYPE]` or `[defaults.agents]`: what is not set comes from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// Longest time one turn may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// Memory of one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Time after which an idle agent leaves memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Wait>,
    /// How sends to it and its timers are tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: RetrySettings,
    /// When a turn counts as committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
}

/// `retries = { ... }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrySettings {
    /// Attempts in all, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
    /// Pause after the first attempt; doubles each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Wait>,
    /// Longest pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Wait>,
}

/// `[defaults]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Of every function.
    #[serde(default, skip_serializing_if = "is_default")]
    pub functions: FunctionSettings,
    /// Of every agent type.
    #[serde(default, skip_serializing_if = "is_default")]
    pub agents: AgentSettings,
}

/// `[capabilities]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilitySettings {
    /// Hosts that `fetch` may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
}

/// The value of an environment variable: text, or `{ secret = "NAME" }`, which the node looks up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EnvValue {
    /// The value itself.
    Text(String),
    /// The name of a secret that the node holds. Its value is never in the manifest.
    Secret {
        /// The secret's name.
        secret: String,
    },
}

// By hand: the message of an untagged enum would not say what is expected.
impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnvValueVisitor)
    }
}

struct EnvValueVisitor;

impl<'de> Visitor<'de> for EnvValueVisitor {
    type Value = EnvValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or { secret = \"NAME\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EnvValue, A::Error> {
        let mut secret = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "secret" {
                return Err(de::Error::unknown_field(&key, &["secret"]));
            }
            secret = Some(map.next_value::<EnvName>()?.as_str().to_owned());
        }
        let secret = secret.ok_or_else(|| de::Error::missing_field("secret"))?;
        Ok(EnvValue::Secret { secret })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
