//! A deployed app as the API shows it.

use crate::problem::Problem;
use eddy_types::{
    AgentSpec, AppSpec, ComponentKind, Durability, FunctionSpec, RetryPolicy, TimeoutSpec,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// A deployed app.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct App {
    /// Its name.
    pub name: String,
    /// 1 for the first deploy, then counting up.
    pub version: u64,
    /// The code.
    pub components: Vec<AppComponent>,
    /// Its functions, by name.
    pub functions: Vec<Function>,
    /// Its agent types, by name.
    pub agents: Vec<AgentType>,
    /// Hosts that its guests may reach with `fetch`.
    pub hosts: Vec<String>,
    /// Why it cannot run, when the node could not load it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// One piece of code of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppComponent {
    /// Its name in the manifest.
    pub name: String,
    /// `wasm`, `js` or `python`.
    pub kind: String,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The component that defines it.
    pub component: String,
    /// Longest time one invocation may take, in milliseconds; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Memory of one instance, in bytes.
    pub memory_bytes: u64,
    /// Invocations that may run at once.
    pub concurrency: u32,
    /// How a durable invocation is tried again.
    pub retries: Retries,
    /// Of a function that answers HTTP requests: the paths under `/apps/APP` that are its own. Others have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

/// An agent type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentType {
    /// Its name.
    pub name: String,
    /// The component that defines it.
    pub component: String,
    /// Its methods, by name.
    pub methods: Vec<Method>,
    /// Longest time one turn may take, in milliseconds; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Memory of one instance, in bytes.
    pub memory_bytes: u64,
    /// Time after which an idle agent is passivated, in milliseconds.
    pub idle_ms: u64,
    /// `synced`, `relaxed` or `none`.
    pub durability: String,
    /// How sends to it and its timers are tried again.
    pub retries: Retries,
}

/// A method of an agent type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// A query: it reads state and never writes it.
    pub read_only: bool,
}

/// Attempts with exponential backoff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retries {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Pause after the first attempt, in milliseconds; doubles each time.
    pub backoff_ms: u64,
    /// Longest pause, in milliseconds.
    pub max_backoff_ms: u64,
}

/// All apps.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AppList {
    /// The apps, by name.
    pub items: Vec<App>,
}

impl From<&AppSpec> for App {
    fn from(spec: &AppSpec) -> Self {
        let component = |index: usize| {
            spec.components
                .get(index)
                .map(|component| component.name.to_string())
                .unwrap_or_default()
        };
        let components = spec.components.iter().map(|component| AppComponent {
            name: component.name.to_string(),
            kind: match component.kind {
                ComponentKind::Wasm => "wasm".to_owned(),
                ComponentKind::Js => "js".to_owned(),
                ComponentKind::Python { .. } => "python".to_owned(),
            },
            digest: component.digest.to_string(),
        });
        let functions = spec.functions.iter().map(|(name, function)| {
            Function::of(name.to_string(), component(function.component), function)
        });
        let agents = spec.agents.iter().map(|(name, agent)| {
            AgentType::of(name.to_string(), component(agent.component), agent)
        });
        Self {
            name: spec.name.to_string(),
            version: spec.version,
            components: components.collect(),
            functions: functions.collect(),
            agents: agents.collect(),
            hosts: spec.capabilities.hosts.clone(),
            error: None,
        }
    }
}

impl Function {
    fn of(name: String, component: String, spec: &FunctionSpec) -> Self {
        Self {
            name,
            component,
            timeout_ms: timeout(spec.timeout),
            memory_bytes: spec.memory as u64,
            concurrency: spec.concurrency,
            retries: Retries::from(&spec.retries),
            routes: spec.routes.clone(),
        }
    }
}

impl AgentType {
    fn of(name: String, component: String, spec: &AgentSpec) -> Self {
        let methods = spec.methods.iter().map(|(method, spec)| Method {
            name: method.to_string(),
            read_only: spec.read_only,
        });
        Self {
            name,
            component,
            methods: methods.collect(),
            timeout_ms: timeout(spec.timeout),
            memory_bytes: spec.memory as u64,
            idle_ms: millis(spec.idle),
            durability: match spec.durability {
                Durability::Synced => "synced".to_owned(),
                Durability::Relaxed => "relaxed".to_owned(),
                Durability::None => "none".to_owned(),
            },
            retries: Retries::from(&spec.retries),
        }
    }
}

impl From<&RetryPolicy> for Retries {
    fn from(policy: &RetryPolicy) -> Self {
        Self {
            attempts: policy.attempts,
            backoff_ms: millis(policy.backoff),
            max_backoff_ms: millis(policy.max_backoff),
        }
    }
}

fn timeout(spec: TimeoutSpec) -> Option<u64> {
    match spec {
        TimeoutSpec::After(limit) => Some(millis(limit)),
        TimeoutSpec::None => None,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
