//! What a handler gets: everything it may ask of the node while it runs.

use crate::bindings::eddy::platform::types::Failure;
use crate::bindings::eddy::platform::{context, effects, outbox};
use crate::client::{Callable, Function, Handle};
use crate::effects::{Call, read_elapsed, read_json};
use crate::error::{EddyError, Result};
use crate::fetch::Fetch;
use crate::state::State;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// What a function's handler gets.
///
/// ```
/// use eddy_sdk::prelude::*;
/// use futures::future::try_join_all;
/// use std::time::Duration;
///
/// /// Asks several agents at once, but no longer than a second.
/// #[function]
/// pub async fn total(ctx: &FunctionContext, counters: Vec<String>) -> Result<i64> {
///     let asked = counters.iter().map(|key| ctx.call::<i64>("counter", key, "value", ()));
///     let values = ctx.timeout(Duration::from_secs(1), try_join_all(asked)).await??;
///     Ok(values.iter().sum())
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct FunctionContext {
    /// Writes lines to the invocation's log.
    pub log: Log,
}

impl FunctionContext {
    pub(crate) fn new() -> Self {
        Self { log: Log {} }
    }

    /// Milliseconds since 1970 when the turn began; the same all through it.
    #[must_use]
    pub fn now(&self) -> u64 {
        context::now()
    }

    /// The invocation's id.
    #[must_use]
    pub fn invocation(&self) -> String {
        context::invocation()
    }

    /// A random number in [0, 1), from the node.
    #[must_use]
    pub fn random(&self) -> f64 {
        // 53 random bits fit a double exactly.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let high = (self.random_bits() >> 11) as f64;
        high / 9_007_199_254_740_992.0
    }

    /// 64 random bits, from the node: a seed for a generator of your choice.
    #[must_use]
    pub fn random_bits(&self) -> u64 {
        context::random()
    }

    /// A variable of the app's environment.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<String> {
        context::env(name)
    }

    /// Calls an agent's method and waits for its reply; `()` where it takes no argument. What it did stays done even
    /// if this turn fails afterwards: for money and stock prefer `send`.
    #[track_caller]
    pub fn call<T: DeserializeOwned>(
        &self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: impl Serialize,
    ) -> Call<T> {
        let started =
            json(&argument).map(|argument| effects::call(agent_type, key, method, &argument));
        Call::new(started, read_json, Location::caller())
    }

    /// Invokes a function and waits for its result.
    #[track_caller]
    pub fn invoke<T: DeserializeOwned>(&self, name: &str, argument: impl Serialize) -> Call<T> {
        let started = json(&argument).map(|argument| effects::invoke(name, &argument));
        Call::new(started, read_json, Location::caller())
    }

    /// Sends a one-way message: it leaves when the turn commits, and takes effect exactly once.
    ///
    /// # Errors
    /// `write-in-query`, or a limit.
    #[track_caller]
    pub fn send(
        &self,
        agent_type: &str,
        key: &str,
        method: &str,
        argument: impl Serialize,
    ) -> Result<()> {
        let place = Location::caller();
        let sent = outbox::send(agent_type, key, method, &json(&argument)?);
        sent.map_err(|failure| EddyError::of_node(failure, place))
    }

    /// The agent `A`/`key`, to call its methods by name: `ctx.agent::<Cart>("alice").add(line).await`.
    #[must_use]
    pub fn agent<A: Callable>(&self, key: &str) -> A::Client {
        Handle::new(A::NAME, key).into()
    }

    /// The agent `A`/`key`, to send it messages: `ctx.sender::<Cart>("alice").add(line)`.
    #[must_use]
    pub fn sender<A: Callable>(&self, key: &str) -> A::Sender {
        Handle::new(A::NAME, key).into()
    }

    /// Invokes the function `F`: `ctx.function::<greet>(name).await`.
    #[track_caller]
    pub fn function<F: Function>(&self, argument: F::Argument) -> Call<F::Output>
    where
        F::Argument: Serialize,
        F::Output: DeserializeOwned,
    {
        let started = json(&argument).map(|argument| effects::invoke(F::NAME, &argument));
        Call::new(started, read_json, Location::caller())
    }

    /// An HTTP request, to hosts that the manifest allows. Up to 10 redirects are followed, within the allowed
    /// hosts; a body that comes back is at most 8 MiB.
    #[track_caller]
    pub fn fetch(&self, url: impl Into<String>) -> Fetch {
        Fetch::new(url.into(), Location::caller())
    }

    /// Waits within this turn. For longer waits an agent sets a timer with [`AgentContext::after`].
    #[track_caller]
    pub fn sleep(&self, time: Duration) -> Call<()> {
        let started = Ok(effects::sleep(milliseconds(time)));
        Call::new(started, read_elapsed, Location::caller())
    }

    /// The future's result, unless it takes longer than `limit`: then it is dropped, which cancels what it waits
    /// for.
    ///
    /// # Errors
    /// `timed-out`.
    #[track_caller]
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output>> {
        let place = Location::caller();
        let sleep = self.sleep(limit);
        async move {
            let (mut future, mut sleep) = (pin!(future), sleep);
            poll_fn(|cx| {
                if let Poll::Ready(result) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(result));
                }
                let ended = pin!(&mut sleep).poll(cx);
                ended.map(|slept| Err(slept.err().unwrap_or_else(|| timed_out(limit, place))))
            })
            .await
        }
    }
}

fn timed_out(limit: Duration, place: &'static Location<'static>) -> EddyError {
    let failure = Failure {
        code: "timed-out".to_owned(),
        message: format!("not done within {limit:?}"),
        stack: None,
        status: None,
        details: None,
    };
    EddyError::of_node(failure, place)
}

/// What an agent's method gets. Everything of [`FunctionContext`] is there, too.
#[derive(Debug)]
#[non_exhaustive]
pub struct AgentContext {
    /// The agent's own durable state.
    pub state: State,
    base: FunctionContext,
    address: Address,
}

/// The address of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Address {
    /// Its type.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// Its key.
    pub key: String,
}

impl AgentContext {
    pub(crate) fn new(agent_type: String, key: String) -> Self {
        Self {
            state: State::new(),
            base: FunctionContext::new(),
            address: Address { agent_type, key },
        }
    }

    /// The agent's own address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends `method` to this agent after so long: a durable timer, set when the turn commits. Its name is the
    /// method's; a timer of that name is replaced.
    ///
    /// # Errors
    /// `write-in-query`, or a limit.
    #[track_caller]
    pub fn after(&self, time: Duration, method: &str, argument: impl Serialize) -> Result<()> {
        self.after_named(method, time, method, argument)
    }

    /// The same, with a name of its own, so that one method can have several timers.
    ///
    /// ```
    /// use eddy_sdk::prelude::*;
    /// use std::time::Duration;
    ///
    /// fn hold(ctx: &AgentContext, sku: String) -> Result<()> {
    ///     let name = format!("release:{sku}");
    ///     ctx.after_named(&name, Duration::from_secs(600), "release", &sku)
    /// }
    ///
    /// fn buy(ctx: &AgentContext, sku: String) -> Result<bool> {
    ///     ctx.cancel(&format!("release:{sku}"))
    /// }
    /// ```
    ///
    /// # Errors
    /// `write-in-query`, or a limit.
    #[track_caller]
    pub fn after_named(
        &self,
        name: &str,
        time: Duration,
        method: &str,
        argument: impl Serialize,
    ) -> Result<()> {
        let place = Location::caller();
        let set = outbox::set_timer(name, milliseconds(time), method, &json(&argument)?);
        set.map_err(|failure| EddyError::of_node(failure, place))
    }

    /// Cancels the timer of that name; says whether it was set.
    ///
    /// # Errors
    /// `write-in-query`.
    #[track_caller]
    pub fn cancel(&self, name: &str) -> Result<bool> {
        let place = Location::caller();
        outbox::cancel_timer(name).map_err(|failure| EddyError::of_node(failure, place))
    }
}

impl Deref for AgentContext {
    type Target = FunctionContext;

    fn deref(&self) -> &FunctionContext {
        &self.base
    }
}

/// Writes lines to the invocation's log: `ctx.log.info(format_args!("{n} left"))`. What is printed to standard
/// output goes there as well, at level debug; standard error at level warn.
#[derive(Debug)]
#[non_exhaustive]
pub struct Log {}

impl Log {
    /// At level trace.
    pub fn trace(&self, line: impl Display) {
        context::log(context::LogLevel::Trace, &line.to_string());
    }

    /// At level debug.
    pub fn debug(&self, line: impl Display) {
        context::log(context::LogLevel::Debug, &line.to_string());
    }

    /// At level info.
    pub fn info(&self, line: impl Display) {
        context::log(context::LogLevel::Info, &line.to_string());
    }

    /// At level warn.
    pub fn warn(&self, line: impl Display) {
        context::log(context::LogLevel::Warn, &line.to_string());
    }

    /// At level error.
    pub fn error(&self, line: impl Display) {
        context::log(context::LogLevel::Error, &line.to_string());
    }
}

/// An argument as JSON text; `()` is null.
#[track_caller]
pub(crate) fn json(argument: &impl Serialize) -> Result<Vec<u8>> {
    // Not with `?`: the place is the caller's.
    match serde_json::to_vec(argument) {
        Ok(json) => Ok(json),
        Err(error) => Err(error.into()),
    }
}

/// Whole milliseconds, rounded up.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_and_bounded() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(20)), 20);
        assert_eq!(milliseconds(Duration::MAX), u64::MAX);
    }
}
