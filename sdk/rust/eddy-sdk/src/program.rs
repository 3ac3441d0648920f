//! What `export!` is made of: the table of handlers, the check of its names, and the two calls of a component.

use crate::bindings::eddy::platform::context;
use crate::bindings::exports::eddy::platform::guest;
use crate::context::{AgentContext, FunctionContext};
use crate::effects::{end_turn, failure};
use crate::error::{EddyError, Result};
use crate::executor::block_on;
use guest::{Definition, Failure, Target};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Once;

/// A handler that runs: its result is JSON text.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + 'a>>;

/// What a crate exports.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// A function.
    Function {
        /// Its name.
        name: &'static str,
        /// Starts it.
        run: for<'a> fn(&'a FunctionContext, &'a [u8]) -> Handling<'a>,
    },
    /// An agent type.
    Agent {
        /// Its name.
        name: &'static str,
        /// Its methods.
        methods: &'static [Method],
    },
}

/// A method of an agent type.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Whether it only reads.
    pub query: bool,
    /// Starts it.
    pub run: for<'a> fn(&'a AgentContext, &'a [u8]) -> Handling<'a>,
}

/// What `export!` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be exported",
    label = "neither an agent type nor a function",
    note = "an agent type needs `#[agent]` on its struct and on its impl, a function `#[function]` on its `fn`"
)]
pub trait Export {
    /// Its entry in the table.
    const ITEM: Item;
}

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler returns a `Result`, not `{Self}`",
    label = "wrap it: `Result<{Self}>`",
    note = "the error is an `EddyError`, or anything that becomes one with `?`"
)]
pub trait Returned {
    /// What it gives when all goes well.
    type Output;
    /// With the error that is answered.
    fn result(self) -> Result<Self::Output>;
}

impl<T, E: Into<EddyError>> Returned for Result<T, E> {
    type Output = T;

    fn result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// Refuses names that occur twice, at compile time.
pub const fn check(items: &[Item]) {
    let mut i = 0;
    while i < items.len() {
        let mut j = i + 1;
        while j < items.len() {
            match (&items[i], &items[j]) {
                (Item::Function { name: a, .. }, Item::Function { name: b, .. }) => {
                    assert!(
                        !same(a, b),
                        "export!: two functions have the same name; give one another: #[function(name = \"...\")]"
                    );
                }
                (Item::Agent { name: a, .. }, Item::Agent { name: b, .. }) => {
                    assert!(
                        !same(a, b),
                        "export!: two agent types have the same name; give one another on its struct: #[agent(name = \"...\")]"
                    );
                }
                _ => {}
            }
            j += 1;
        }
        i += 1;
    }
}

/// `==` of texts is not for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// What the component defines.
pub fn describe(items: &[Item]) -> std::result::Result<Definition, Failure> {
    let mut definition = Definition {
        functions: Vec::new(),
        agents: Vec::new(),
    };
    for item in items {
        match item {
            Item::Function { name, .. } => definition.functions.push((*name).to_owned()),
            Item::Agent { name, methods } => {
                let methods = methods.iter().map(|method| guest::Method {
                    name: method.name.to_owned(),
                    read_only: method.query,
                });
                definition.agents.push(guest::AgentType {
                    name: (*name).to_owned(),
                    methods: methods.collect(),
                });
            }
        }
    }
    Ok(definition)
}

/// Runs a function or one turn of an agent.
pub fn handle(
    items: &[Item],
    target: Target,
    argument: Vec<u8>,
) -> std::result::Result<Vec<u8>, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(report)));
    let result = match target {
        Target::Function(name) => run_function(items, &name, &argument),
        Target::Method((agent, method)) => {
            let ctx = AgentContext::new(agent.agent_type, agent.key);
            run_method(items, &ctx, &method, &argument)
        }
    };
    end_turn();
    result
}

type Ended = std::result::Result<Vec<u8>, Failure>;

fn run_function(items: &[Item], wanted: &str, argument: &[u8]) -> Ended {
    let found = items.iter().find_map(|item| match item {
        Item::Function { name, run } if *name == wanted => Some(run),
        _ => None,
    });
    let run = found.ok_or_else(|| {
        let why = format!("no function {wanted:?} is exported");
        failure("unknown-function", why)
    })?;
    let ctx = FunctionContext::new();
    end(block_on(run(&ctx, argument)))
}

fn run_method(items: &[Item], ctx: &AgentContext, wanted: &str, argument: &[u8]) -> Ended {
    let agent_type = &ctx.address().agent_type;
    let found = items.iter().find_map(|item| match item {
        Item::Agent { name, methods } if name == agent_type => Some(methods),
        _ => None,
    });
    let methods = found.ok_or_else(|| {
        let why = format!("no agent type {agent_type:?} is exported");
        failure("unknown-agent-type", why)
    })?;
    let method = methods.iter().find(|method| method.name == wanted);
    let method = method.ok_or_else(|| {
        let why = format!("{agent_type} has no method {wanted:?}");
        failure("unknown-method", why)
    })?;
    end(block_on((method.run)(ctx, argument)))
}

fn end(result: std::result::Result<Result<Vec<u8>>, Failure>) -> Ended {
    result?.map_err(EddyError::into_failure)
}

/// A panic as a line of the log; the trap that follows says where in the WebAssembly it was.
fn report(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    let line = format!(
        "panicked at {}: {}",
        place.as_deref().unwrap_or("an unknown place"),
        message(info.payload())
    );
    context::log(context::LogLevel::Error, &line);
}

fn message(payload: &dyn Any) -> &str {
    match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("", String::as_str),
    }
}

/// Reads a handler's argument. One that is missing is also tried as an empty object, so that the defaults of a
/// struct's fields apply.
pub fn argument<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T> {
    let missing = json.is_empty() || json == b"null";
    let read = serde_json::from_slice(if missing { b"null" } else { json });
    let error = match read {
        Ok(argument) => return Ok(argument),
        Err(error) => error,
    };
    if missing && let Ok(argument) = serde_json::from_slice(b"{}") {
        return Ok(argument);
    }
    let wanted = std::any::type_name::<T>();
    let error = EddyError::new(
        "invalid-argument",
        format!("the argument is not a {wanted}: {error}"),
    );
    Err(error.status(400))
}

/// Writes a handler's result.
pub fn reply<R: Returned<Output: Serialize>>(result: R) -> Result<Vec<u8>> {
    serde_json::to_vec(&result.result()?).map_err(|error| {
        let given = std::any::type_name::<R::Output>();
        EddyError::new(
            "invalid-result",
            format!("the result, a {given}, is not JSON: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Increment {
        #[serde(default)]
        by: i64,
    }

    #[test]
    fn a_missing_argument_is_null_or_all_defaults() {
        for json in [&b""[..], b"null"] {
            assert_eq!(argument::<Option<u8>>(json).unwrap(), None);
            assert_eq!(argument::<Increment>(json).unwrap(), Increment { by: 0 });
        }
        let error = argument::<String>(b"").unwrap_err();
        assert_eq!(
            (&*error.code, error.status),
            ("invalid-argument", Some(400))
        );
        assert!(error.message.contains("invalid type: null"), "{error}");
    }

    #[test]
    fn what_json_cannot_hold_is_an_invalid_result() {
        let pairs = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(
            reply(Ok::<_, EddyError>(pairs)).unwrap_err().code,
            "invalid-result"
        );
        assert_eq!(reply(Ok::<_, EddyError>(())).unwrap(), b"null");
    }
}
