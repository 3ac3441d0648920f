//! Joins what a manifest says with what the code says of itself: the app as it is deployed.

use super::{
    AgentSettings, EnvName, EnvValue, FunctionSettings, Manifest, RetrySettings, SECRET_PREFIX,
};
use crate::address::{MethodName, Name};
use crate::app::{
    AgentSpec, AppSpec, Capabilities, Component, Env, FunctionSpec, MethodSpec, RetryPolicy,
};
use crate::error::{EddyError, ErrorCode};
use crate::limits;
use std::collections::BTreeMap;
use std::fmt::Display;

/// What one component says that it defines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Its functions.
    pub functions: Vec<Name>,
    /// Its agent types with their methods.
    pub agents: Vec<(Name, Vec<(MethodName, MethodSpec)>)>,
    /// It answers HTTP requests, as a function of its own.
    pub http: bool,
}

impl Manifest {
    /// The app that this manifest and these components make, as version `version`.
    ///
    /// `definitions` holds what each of `components` says of itself, in the same order.
    ///
    /// Errors: `invalid-manifest` when the two do not fit (a name that no component defines, or
    /// that two define; a component without code), `invalid-component` when nothing is defined.
    pub fn resolve(
        &self,
        components: Vec<Component>,
        definitions: &[Definition],
        version: u64,
    ) -> Result<AppSpec, EddyError> {
        self.check_components(&components)?;
        let mut functions = self.resolve_functions(definitions)?;
        for (component, routes) in self.resolve_routes(&components, definitions)? {
            let name = self.http_function(&components[component].name);
            let spec = FunctionSpec {
                routes,
                ..self.function(name, component)?
            };
            if functions.insert(name.clone(), spec).is_some() {
                return Err(defined_twice("function", name));
            }
        }
        let agents = self.resolve_agents(definitions)?;
        check_known("function", self.functions.keys(), &functions)?;
        check_known("agent type", self.agents.keys(), &agents)?;
        if functions.is_empty() && agents.is_empty() {
            return Err(EddyError::new(
                ErrorCode::InvalidComponent,
                format!("app `{}` defines no function and no agent type", self.name),
            )
            .hint("Export at least one: `export const hello = fn((ctx, arg) => ...)`."));
        }
        Ok(AppSpec {
            name: self.name.clone(),
            version,
            components,
            functions,
            agents,
            env: self.plain_env(),
            capabilities: Capabilities {
                hosts: self
                    .capabilities
                    .hosts
                    .iter()
                    .map(|host| host.as_str().to_owned())
                    .collect(),
            },
        })
    }

    /// A manifest that lists components must list exactly those whose code was sent.
    fn check_components(&self, components: &[Component]) -> Result<(), EddyError> {
        for (i, one) in components.iter().enumerate() {
            if components[..i].iter().any(|other| other.name == one.name) {
                return Err(wrong(format!(
                    "the code of component `{}` came twice",
                    one.name
                )));
            }
            if !self.components.is_empty() && !self.components.contains_key(&one.name) {
                return Err(wrong(format!(
                    "component `{}` is not in the manifest",
                    one.name
                )));
            }
        }
        let missing = self
            .components
            .keys()
            .find(|name| components.iter().all(|one| one.name != **name));
        match missing {
            Some(name) => Err(wrong(format!("the code of component `{name}` is missing"))),
            None => Ok(()),
        }
    }

    fn resolve_functions(
        &self,
        definitions: &[Definition],
    ) -> Result<BTreeMap<Name, FunctionSpec>, EddyError> {
        let mut all = BTreeMap::new();
        for (component, definition) in definitions.iter().enumerate() {
            for name in &definition.functions {
                let spec = self.function(name, component)?;
                if all.insert(name.clone(), spec).is_some() {
                    return Err(defined_twice("function", name));
                }
            }
        }
        Ok(all)
    }

    fn function(&self, name: &Name, component: usize) -> Result<FunctionSpec, EddyError> {
        let base = &self.defaults.functions;
        let none = FunctionSettings::default();
        let own = self.functions.get(name).unwrap_or(&none);
        Ok(FunctionSpec {
            component,
            timeout: own
                .timeout
                .or(base.timeout)
                .map(|timeout| timeout.0)
                .unwrap_or_default(),
            memory: own
                .memory
                .or(base.memory)
                .map_or(limits::DEFAULT_GUEST_MEMORY, |m| m.0),
            concurrency: own
                .concurrency
                .or(base.concurrency)
                .map_or(limits::DEFAULT_FUNCTION_CONCURRENCY, |c| c.0),
            retries: retries(&format!("functions.{name}"), own.retries, base.retries)?,
            routes: Vec::new(),
        })
    }

    fn resolve_agents(
        &self,
        definitions: &[Definition],
    ) -> Result<BTreeMap<Name, AgentSpec>, EddyError> {
        let mut all = BTreeMap::new();
        for (component, definition) in definitions.iter().enumerate() {
            for (name, methods) in &definition.agents {
                let spec = self.agent(name, component, methods)?;
                if all.insert(name.clone(), spec).is_some() {
                    return Err(defined_twice("agent type", name));
                }
            }
        }
        Ok(all)
    }

    fn agent(
        &self,
        name: &Name,
        component: usize,
        methods: &[(MethodName, MethodSpec)],
    ) -> Result<AgentSpec, EddyError> {
        let base = &self.defaults.agents;
        let none = AgentSettings::default();
        let own = self.agents.get(name).unwrap_or(&none);
        Ok(AgentSpec {
            component,
            methods: methods.iter().cloned().collect(),
            timeout: own
                .timeout
                .or(base.timeout)
                .map(|timeout| timeout.0)
                .unwrap_or_default(),
            memory: own
                .memory
                .or(base.memory)
                .map_or(limits::DEFAULT_GUEST_MEMORY, |m| m.0),
            idle: own
                .idle
                .or(base.idle)
                .map_or(limits::DEFAULT_IDLE, |idle| idle.0),
            retries: retries(&format!("agents.{name}"), own.retries, base.retries)?,
            durability: own.durability.or(base.durability).unwrap_or_default(),
        })
    }

    /// The variables whose value is in the manifest itself.
    fn plain_env(&self) -> Env {
        let text = |(name, value): (&EnvName, &EnvValue)| match value {
            EnvValue::Text(text) => Some((name.as_str().to_owned(), text.clone())),
            EnvValue::Secret { .. } => None,
        };
        self.env.iter().filter_map(text).collect()
    }

    /// The whole environment; `lookup` gives the value of a secret by its name. `secret-missing`
    /// names every one that it does not have.
    pub fn resolve_env(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<Env, EddyError> {
        let mut env = self.plain_env();
        let (mut missing, mut variables) = (Vec::new(), Vec::new());
        for (variable, value) in &self.env {
            let EnvValue::Secret { secret } = value else {
                continue;
            };
            match lookup(secret) {
                Some(value) => drop(env.insert(variable.as_str().to_owned(), value)),
                None => {
                    missing.push(format!("`{secret}` (for `{}`)", variable.as_str()));
                    variables.push(format!("{SECRET_PREFIX}{secret}"));
                }
            }
        }
        if missing.is_empty() {
            return Ok(env);
        }
        let (missing, variables) = (missing.join(", "), variables.join(" and "));
        let detail = format!(
            "app `{}` needs secrets that this node does not have: {missing}",
            self.name
        );
        Err(
            EddyError::new(ErrorCode::SecretMissing, detail).hint(format!(
                "Start the node with {variables} in its environment. \
             Other tenants than `default` need a grant, too: `eddy tenant set NAME --secrets`."
            )),
        )
    }
}

fn retries(at: &str, own: RetrySettings, base: RetrySettings) -> Result<RetryPolicy, EddyError> {
    let default = RetryPolicy::default();
    let policy = RetryPolicy {
        attempts: own
            .attempts
            .or(base.attempts)
            .map_or(default.attempts, |a| a.0),
        backoff: own
            .backoff
            .or(base.backoff)
            .map_or(default.backoff, |b| b.0),
        max_backoff: own
            .max_backoff
            .or(base.max_backoff)
            .map_or(default.max_backoff, |b| b.0),
    };
    if policy.backoff > policy.max_backoff {
        return Err(wrong(format!(
            "{at}: `retries.backoff` ({}) is longer than `retries.max_backoff` ({})",
            humantime::format_duration(policy.backoff),
            humantime::format_duration(policy.max_backoff)
        )));
    }
    Ok(policy)
}

/// Every name that the manifest tunes must be defined by some component.
fn check_known<'a, T>(
    what: &str,
    tuned: impl Iterator<Item = &'a Name>,
    defined: &BTreeMap<Name, T>,
) -> Result<(), EddyError> {
    let unknown: Vec<_> = tuned.filter(|name| !defined.contains_key(*name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let there = match defined.is_empty() {
        true => format!("The code defines no {what}."),
        false => format!("The code defines: {}.", list(defined.keys())),
    };
    Err(
        wrong(format!("no component defines the {what} {}", list(unknown)))
            .hint(format!("{there} Rename or remove the section.")),
    )
}

fn defined_twice(what: &str, name: &Name) -> EddyError {
    wrong(format!("two components define the {what} `{name}`"))
        .hint("Rename one of them: names are unique in an app.")
}

pub(super) fn list<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

pub(super) fn wrong(detail: String) -> EddyError {
    EddyError::new(ErrorCode::InvalidManifest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{ComponentKind, Durability, TimeoutSpec};
    use crate::digest::Digest;
    use crate::manifest::{EnvName, Timeout};

    fn name(text: &str) -> Name {
        Name::new(text).expect("a valid name")
    }

    fn code(text: &str) -> Component {
        Component {
            name: name(text),
            kind: ComponentKind::Js,
            digest: Digest::of(b"code"),
        }
    }

    fn definition(functions: &[&str], agents: &[&str]) -> Definition {
        let method = MethodName::new("add").expect("a valid name");
        let methods = vec![(method, MethodSpec::default())];
        Definition {
            functions: functions.iter().map(|text| name(text)).collect(),
            agents: agents
                .iter()
                .map(|text| (name(text), methods.clone()))
                .collect(),
            http: false,
        }
    }

    fn resolve(manifest: &Manifest, definition: Definition) -> Result<AppSpec, EddyError> {
        manifest.resolve(vec![code("main")], &[definition], 3)
    }

    #[test]
    fn own_settings_win_over_defaults_and_those_over_limits() {
        let mut manifest = Manifest::named(name("shop"));
        manifest.defaults.agents.timeout = Some(Timeout(TimeoutSpec::None));
        manifest.defaults.agents.durability = Some(Durability::Relaxed);
        let own = AgentSettings {
            durability: Some(Durability::None),
            ..AgentSettings::default()
        };
        manifest.agents.insert(name("cart"), own);
        let app = resolve(&manifest, definition(&["f"], &["cart"])).expect("it fits");
        let cart = &app.agents[&name("cart")];
        assert_eq!(cart.durability, Durability::None);
        assert_eq!(cart.timeout, TimeoutSpec::None);
        assert_eq!(cart.idle, limits::DEFAULT_IDLE);
        assert_eq!(app.functions[&name("f")].timeout, TimeoutSpec::default());
        assert_eq!(app.version, 3);
    }

    #[test]
    fn misfits_are_named() {
        let mut manifest = Manifest::named(name("shop"));
        manifest
            .agents
            .insert(name("crat"), AgentSettings::default());
        let error = resolve(&manifest, definition(&[], &["cart"])).expect_err("unknown");
        assert_eq!(error.code, ErrorCode::InvalidManifest);
        assert!(error.to_string().contains("`crat`") && error.to_string().contains("`cart`"));

        let manifest = Manifest::named(name("shop"));
        let twice = [definition(&["f"], &[]), definition(&["f"], &[])];
        let error = manifest
            .resolve(vec![code("a"), code("b")], &twice, 1)
            .expect_err("twice");
        assert!(error.detail.contains("two components define"), "{error}");
        let error = resolve(&manifest, definition(&[], &[])).expect_err("nothing");
        assert_eq!(error.code, ErrorCode::InvalidComponent);
    }

    #[test]
    fn secrets_stay_references_until_they_are_looked_up() {
        let mut manifest = Manifest::named(name("shop"));
        let key = |text| EnvName::parse(text).expect("a valid name");
        manifest
            .env
            .insert(key("MODE"), EnvValue::Text("test".into()));
        manifest.env.insert(
            key("TOKEN"),
            EnvValue::Secret {
                secret: "STRIPE".into(),
            },
        );
        let app = resolve(&manifest, definition(&["f"], &[])).expect("it fits");
        assert_eq!(app.env.len(), 1);
        let missing = manifest.resolve_env(|_| None).expect_err("no such secret");
        assert_eq!(missing.code, ErrorCode::SecretMissing);
        let hint = missing.hint.expect("what to do");
        assert!(hint.contains("EDDY_SECRET_STRIPE "), "{hint}");
        let env = manifest
            .resolve_env(|name| Some(format!("value of {name}")))
            .expect("it is there");
        assert_eq!(env["TOKEN"], "value of STRIPE");
    }
}
