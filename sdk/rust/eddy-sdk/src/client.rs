//! Agents and functions known by their Rust types. The traits are implemented by the macros.

use crate::bindings::eddy::platform::{effects, outbox};
use crate::context::json;
use crate::effects::{Call, read_json};
use crate::error::{EddyError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::Location;

/// An agent type, by `#[agent]` on its struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an agent type",
    label = "not an agent type",
    note = "an agent type is a unit struct with `#[agent]` on it: `#[agent] pub struct {Self};`"
)]
pub trait AgentType {
    /// Its name.
    const NAME: &'static str;
}

/// An agent type with its methods, by `#[agent]` on its impl.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no methods that agents can be called by",
    label = "no methods",
    note = "put `#[agent]` on the impl with its methods: `#[agent] impl {Self} {{ .. }}`"
)]
pub trait Callable: AgentType {
    /// Has the type's methods, each as a call.
    type Client: From<Handle>;
    /// Has the type's methods, each as a send.
    type Sender: From<Handle>;
}

/// A function, by `#[function]`. The type has the function's own name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of an app",
    label = "not a function of an app",
    note = "put `#[function]` on the `fn`"
)]
pub trait Function {
    /// Its name.
    const NAME: &'static str;
    /// What it takes besides its context; `()` when it takes nothing.
    type Argument;
    /// What it returns when all goes well.
    type Output;
}

/// One agent, by type and key: what the generated clients hold.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Handle {
    agent_type: &'static str,
    key: String,
}

impl Handle {
    pub(crate) fn new(agent_type: &'static str, key: &str) -> Self {
        Self {
            agent_type,
            key: key.to_owned(),
        }
    }

    #[track_caller]
    pub fn call<T: DeserializeOwned>(&self, method: &str, argument: &impl Serialize) -> Call<T> {
        let started = json(argument)
            .map(|argument| effects::call(self.agent_type, &self.key, method, &argument));
        Call::new(started, read_json, Location::caller())
    }

    #[track_caller]
    pub fn send(&self, method: &str, argument: &impl Serialize) -> Result<()> {
        let place = Location::caller();
        let sent = outbox::send(self.agent_type, &self.key, method, &json(argument)?);
        sent.map_err(|failure| EddyError::of_node(failure, place))
    }
}
