//! What a component says it defines, checked. Asked once, at deploy.

use crate::bindings::exports::eddy::platform::guest;
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::engine::invalid;
use crate::fault::Fault;
use crate::instance::InstanceLimits;
use crate::program::{Program, invalid_source};
use eddy_types::{EddyError, ErrorCode, MethodName, Name, limits};
use std::collections::BTreeSet;

/// What a component defines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Its functions, in its own order, no name twice.
    pub functions: Vec<Name>,
    /// Its agent types, in its own order, no name twice.
    pub agents: Vec<AgentDefinition>,
    /// It answers HTTP requests, and defines nothing else.
    pub http: bool,
}

/// An agent type of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentDefinition {
    /// The type's name.
    pub name: Name,
    /// Its methods, no name twice.
    pub methods: Vec<MethodDefinition>,
}

/// A method of an agent type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodDefinition {
    /// Its name.
    pub name: MethodName,
    /// A query: it may read state, never write it.
    pub read_only: bool,
}

impl Code {
    /// Asks a fresh instance what it defines.
    ///
    /// # Errors
    /// `invalid-component` or, with a `program`, `invalid-source`: a bad or doubled name, an error
    /// of the guest, or a fault while it starts.
    pub async fn describe(
        &self,
        program: Option<&Program>,
        cancel: &CancelToken,
    ) -> Result<Definition, EddyError> {
        let wrong = |why: String| match program {
            Some(_) => EddyError::new(ErrorCode::InvalidSource, why),
            None => invalid(why),
        };
        let described = self
            .ask(program, cancel)
            .await
            .map_err(|fault| match fault {
                Fault::Trap { .. } | Fault::MemoryLimit { .. } => {
                    wrong(format!("it fails when it is loaded: {fault}"))
                }
                other => other.into(),
            })?;
        let definition = described.map_err(|failure| match program {
            Some(_) => invalid_source(failure),
            None => wrong(format!("`describe` failed: {}", failure.message)),
        })?;
        let definition = checked(definition).map_err(wrong)?;
        Ok(Definition {
            http: self.serves_http(),
            ..definition
        })
    }

    async fn ask(
        &self,
        program: Option<&Program>,
        cancel: &CancelToken,
    ) -> Result<Result<guest::Definition, guest::Failure>, Fault> {
        let limits = InstanceLimits::default();
        let mut instance = self.instantiate(&limits, program, cancel).await?;
        if self.serves_http() {
            // Nothing to ask: it starts, and that is what there is to know.
            return Ok(Ok(guest::Definition {
                functions: Vec::new(),
                agents: Vec::new(),
            }));
        }
        instance.call_describe(cancel).await
    }
}

fn checked(definition: guest::Definition) -> Result<Definition, String> {
    let methods = definition
        .agents
        .iter()
        .map(|agent| 1 + agent.methods.len());
    let names = definition.functions.len() + methods.sum::<usize>();
    if names > limits::MAX_NAMES_PER_COMPONENT {
        return Err(format!(
            "it defines {names} functions, agent types and methods; the limit is {}",
            limits::MAX_NAMES_PER_COMPONENT
        ));
    }
    let mut functions = Vec::new();
    for name in unique("function", definition.functions)? {
        functions.push(Name::new(&name).map_err(|error| error.to_string())?);
    }
    let names = definition
        .agents
        .iter()
        .map(|agent| agent.name.clone())
        .collect();
    unique("agent type", names)?;
    let agents = definition
        .agents
        .into_iter()
        .map(checked_agent)
        .collect::<Result<_, _>>()?;
    Ok(Definition {
        functions,
        agents,
        http: false,
    })
}

fn checked_agent(agent: guest::AgentType) -> Result<AgentDefinition, String> {
    let name = Name::new(&agent.name).map_err(|error| error.to_string())?;
    let names = agent
        .methods
        .iter()
        .map(|method| method.name.clone())
        .collect();
    unique(&format!("method of {name}"), names)?;
    let methods = agent.methods.into_iter().map(|method| {
        let name = MethodName::new(&method.name).map_err(|error| error.to_string())?;
        Ok(MethodDefinition {
            name,
            read_only: method.read_only,
        })
    });
    Ok(AgentDefinition {
        name,
        methods: methods.collect::<Result<_, String>>()?,
    })
}

fn unique(what: &str, names: Vec<String>) -> Result<Vec<String>, String> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(format!("it defines the {what} {twice:?} twice")),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(functions: &[&str], methods: &[&str]) -> guest::Definition {
        let methods = methods
            .iter()
            .map(|&name| guest::Method {
                name: name.to_owned(),
                read_only: false,
            })
            .collect();
        guest::Definition {
            functions: functions.iter().map(|&name| name.to_owned()).collect(),
            agents: vec![guest::AgentType {
                name: "cart".to_owned(),
                methods,
            }],
        }
    }

    #[test]
    fn names_must_be_valid_and_unique() {
        assert!(checked(definition(&["a", "b"], &["a", "b"])).is_ok());
        let twice = checked(definition(&["a", "a"], &[])).expect_err("doubled");
        assert_eq!(twice, "it defines the function \"a\" twice");
        let twice = checked(definition(&[], &["m", "m"])).expect_err("doubled");
        assert_eq!(twice, "it defines the method of cart \"m\" twice");
        assert!(checked(definition(&["no spaces"], &[])).is_err());
    }
}
