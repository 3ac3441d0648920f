//! What functions and agents on Eddy are written with in Rust.
//!
//! ```
//! use eddy_sdk::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Increment {
//!     #[serde(default = "one")]
//!     by: i64,
//! }
//!
//! fn one() -> i64 {
//!     1
//! }
//!
//! /// An agent type: each `counter/KEY` is an agent of its own, with its own durable state.
//! #[agent]
//! pub struct Counter;
//!
//! #[agent]
//! impl Counter {
//!     pub async fn increment(ctx: &AgentContext, increment: Increment) -> Result<i64> {
//!         let n = ctx.state.get::<i64>("n")?.unwrap_or(0) + increment.by;
//!         ctx.state.set("n", n)?;
//!         Ok(n)
//!     }
//!
//!     #[query]
//!     pub fn value(ctx: &AgentContext) -> Result<i64> {
//!         Ok(ctx.state.get("n")?.unwrap_or(0))
//!     }
//! }
//!
//! /// A function.
//! #[function]
//! pub async fn greet(ctx: &FunctionContext, name: String) -> Result<String> {
//!     let visits = ctx.agent::<Counter>(&name).increment(Increment { by: 1 }).await?;
//!     Ok(format!("Hello, {name}! You were here {visits} times."))
//! }
//!
//! eddy_sdk::export!(Counter, greet);
//! ```
//!
//! A project is a crate with `crate-type = ["cdylib"]`; `eddy deploy` builds it for `wasm32-wasip2`.
//!
//! - **Agents** are [`agent`] on a unit struct and on its impl. The impl's `pub` methods are the agent's methods,
//!   those with [`query`] read only. What an agent knows is in [`AgentContext::state`], never in the struct.
//! - **Functions** are [`function`] on a `fn`.
//! - A **handler** takes its context and at most one argument, and returns a [`Result`]. The argument is anything
//!   that serde deserializes, the result anything that it serializes. An argument that is missing or null is
//!   also tried as an empty object, so that the defaults of a struct's fields apply.
//! - [`export!`] lists them all, once, at the root of the crate.
//! - **Async** is ordinary Rust: what a context starts ([`FunctionContext::call`], `invoke`, `fetch`, `sleep`) is under
//!   way at once, is awaited when you like, works with `futures::join!` and `select!`, and is cancelled when it is
//!   dropped or the handler returns. There are no threads, and other crates' timers and sockets do not work.
//! - **Errors** are [`EddyError`]; `?` makes one of any error.
//!
//! Compiled for another target than WebAssembly everything type-checks, so that editors and your own unit tests
//! work, but nothing hands out a context there.

mod client;
mod context;
mod effects;
mod error;
mod executor;
mod fetch;
mod program;
mod state;

#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::unwrap_used,
    rustdoc::all,
    reason = "generated from wit/platform.wit, which documents it"
)]
pub mod bindings;

pub use client::{AgentType, Callable, Function};
pub use context::{Address, AgentContext, FunctionContext, Log};
pub use effects::Call;
pub use error::{EddyError, Result};
pub use fetch::{Fetch, Response};
pub use state::{Bytes, FromState, State, Stored, ToState};

/// On a unit struct: makes it an agent type, named like the struct in snake case, or by `#[agent(name = "...")]`.
/// On its impl: makes the `pub` methods the agent's methods.
///
/// A method takes `ctx: &AgentContext` and at most one argument, is `async` or not, and returns a `Result`. Methods
/// that are not `pub` are your own helpers.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[agent(name = "shopping_cart")]
/// pub struct Cart;
///
/// #[agent]
/// impl Cart {
///     pub async fn add(ctx: &AgentContext, sku: String) -> Result<u32> {
///         let count = Self::count(ctx, &sku)? + 1;
///         ctx.state.set(&sku, count)?;
///         Ok(count)
///     }
///
///     fn count(ctx: &AgentContext, sku: &str) -> Result<u32> {
///         Ok(ctx.state.get(sku)?.unwrap_or(0))
///     }
/// }
///
/// // Elsewhere, by its type: to call it, and to send to it.
/// async fn two(ctx: &FunctionContext) -> Result<u32> {
///     ctx.sender::<Cart>("bob").add("apple".to_owned())?;
///     ctx.agent::<Cart>("alice").add("apple".to_owned()).await
/// }
/// ```
pub use eddy_sdk_macros::agent;

/// On a method of an agent: it only reads. It needs no commit, and a write in it is the error `write-in-query`.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[agent]
/// pub struct Counter;
///
/// #[agent]
/// impl Counter {
///     #[query]
///     pub fn value(ctx: &AgentContext) -> Result<i64> {
///         Ok(ctx.state.get("n")?.unwrap_or(0))
///     }
/// }
/// ```
pub use eddy_sdk_macros::query;

/// On a `fn`: makes it a function of the app, named like it, or by `#[function(name = "...")]`.
///
/// It takes `ctx: &FunctionContext` and at most one argument, is `async` or not, and returns a `Result`.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[function]
/// pub async fn greet(ctx: &FunctionContext, name: String) -> Result<String> {
///     ctx.log.info(format_args!("greeting {name}"));
///     Ok(format!("Hello, {name}!"))
/// }
///
/// // Elsewhere, by its type, which has the function's name:
/// async fn twice(ctx: &FunctionContext) -> Result<String> {
///     ctx.function::<greet>("Ada".to_owned()).await
/// }
/// ```
pub use eddy_sdk_macros::function;

/// What most programs need: `use eddy_sdk::prelude::*;`
pub mod prelude {
    pub use crate::{
        AgentContext, Bytes, EddyError, FunctionContext, Result, agent, function, query,
    };
    pub use serde::{Deserialize, Serialize};
}

/// What the macros' code names. Not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::client::Handle;
    pub use crate::program::{
        Export, Handling, Item, Method, Returned, argument, check, describe, handle, reply,
    };
    pub use serde::Serialize;
    pub use serde::de::DeserializeOwned;
}

/// Makes agents and functions part of the app: every `#[agent]` and `#[function]` of the crate, by its path.
/// Once per crate, at its root.
///
/// ```
/// mod orders {
///     use eddy_sdk::prelude::*;
///     #[agent]
///     pub struct Cart;
///     #[agent]
///     impl Cart {
///         pub fn add(ctx: &AgentContext, sku: String) -> Result<()> {
///             ctx.state.set(&sku, 1)
///         }
///     }
///     #[function]
///     pub fn hello(_ctx: &FunctionContext) -> Result<&'static str> {
///         Ok("hello")
///     }
/// }
///
/// eddy_sdk::export!(orders::Cart, orders::hello);
/// ```
#[macro_export]
macro_rules! export {
    ($($item:ty),+ $(,)?) => {
        const _: () = {
            const ITEMS: &[$crate::__private::Item] = &[$(<$item as $crate::__private::Export>::ITEM),+];
            const _: () = $crate::__private::check(ITEMS);

            struct Component;

            impl $crate::bindings::exports::eddy::platform::guest::Guest for Component {
                fn describe() -> ::core::result::Result<
                    $crate::bindings::exports::eddy::platform::guest::Definition,
                    $crate::bindings::exports::eddy::platform::guest::Failure,
                > {
                    $crate::__private::describe(ITEMS)
                }

                fn handle(
                    target: $crate::bindings::exports::eddy::platform::guest::Target,
                    argument: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<
                    ::std::vec::Vec<u8>,
                    $crate::bindings::exports::eddy::platform::guest::Failure,
                > {
                    $crate::__private::handle(ITEMS, target, argument)
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
