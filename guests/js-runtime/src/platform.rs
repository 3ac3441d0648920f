//! What contexts offer besides waiting: state, sends, durable timers, log, clock, environment.
//! core.js checks the arguments' types and that the turn still runs.

use crate::bindings::eddy::platform::{context, outbox, state};
use crate::convert;
use rquickjs::{Array, Ctx, Function, Object, Result, Value};

/// Puts the functions where core.js finds them.
pub fn install(host: &Object<'_>) -> Result<()> {
    let ctx = host.ctx();
    host.set("stateGet", Function::new(ctx.clone(), state_get)?)?;
    host.set("stateSet", Function::new(ctx.clone(), state_set)?)?;
    host.set("stateDelete", Function::new(ctx.clone(), state_delete)?)?;
    host.set("stateList", Function::new(ctx.clone(), state_list)?)?;
    host.set("send", Function::new(ctx.clone(), send)?)?;
    host.set("setTimer", Function::new(ctx.clone(), set_timer)?)?;
    host.set("cancelTimer", Function::new(ctx.clone(), cancel_timer)?)?;
    host.set("now", Function::new(ctx.clone(), now)?)?;
    host.set("random", Function::new(ctx.clone(), random)?)?;
    host.set(
        "invocation",
        Function::new(ctx.clone(), context::invocation)?,
    )?;
    host.set("env", Function::new(ctx.clone(), env)?)?;
    host.set("log", Function::new(ctx.clone(), log)?)?;
    host.set("errorText", Function::new(ctx.clone(), error_text)?)
}

/// A number in [0, 1) of 53 random bits.
pub fn unit(bits: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let high = (bits >> 11) as f64;
    high / 9_007_199_254_740_992.0
}

fn state_get<'js>(ctx: Ctx<'js>, key: String) -> Result<Value<'js>> {
    match state::get(&key) {
        Ok(Some(value)) => convert::from_state(&ctx, value),
        Ok(None) => Ok(Value::new_undefined(ctx)),
        Err(failure) => Err(convert::throw(&ctx, failure)),
    }
}

fn state_set<'js>(ctx: Ctx<'js>, key: String, value: Value<'js>) -> Result<()> {
    let value = convert::to_state(&ctx, value)?;
    state::set(&key, &value).map_err(|failure| convert::throw(&ctx, failure))
}

fn state_delete(ctx: Ctx<'_>, key: String) -> Result<bool> {
    state::delete(&key).map_err(|failure| convert::throw(&ctx, failure))
}

fn state_list<'js>(
    ctx: Ctx<'js>,
    prefix: String,
    after: Option<String>,
    limit: f64,
) -> Result<Array<'js>> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "core.js bounds it"
    )]
    let limit = limit as u32;
    let entries = state::list(&prefix, after.as_deref(), limit)
        .map_err(|failure| convert::throw(&ctx, failure))?;
    let list = Array::new(ctx.clone())?;
    for (index, (key, value)) in entries.into_iter().enumerate() {
        let entry = Array::new(ctx.clone())?;
        entry.set(0, key)?;
        entry.set(1, convert::from_state(&ctx, value)?)?;
        list.set(index, entry)?;
    }
    Ok(list)
}

fn send<'js>(
    ctx: Ctx<'js>,
    agent: String,
    key: String,
    method: String,
    argument: Value<'js>,
) -> Result<()> {
    let argument = convert::payload(&ctx, argument)?;
    outbox::send(&agent, &key, &method, &argument).map_err(|failure| convert::throw(&ctx, failure))
}

fn set_timer<'js>(
    ctx: Ctx<'js>,
    name: String,
    milliseconds: f64,
    method: String,
    argument: Value<'js>,
) -> Result<()> {
    let argument = convert::payload(&ctx, argument)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked in core.js"
    )]
    let milliseconds = milliseconds.ceil() as u64;
    outbox::set_timer(&name, milliseconds, &method, &argument)
        .map_err(|failure| convert::throw(&ctx, failure))
}

fn cancel_timer(ctx: Ctx<'_>, name: String) -> Result<bool> {
    outbox::cancel_timer(&name).map_err(|failure| convert::throw(&ctx, failure))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds stay below 2^53 for 280,000 years"
)]
fn now() -> f64 {
    context::now() as f64
}

fn random() -> f64 {
    unit(context::random())
}

fn env(ctx: Ctx<'_>, name: String) -> Result<Value<'_>> {
    match context::env(&name) {
        Some(value) => Ok(convert::string(&ctx, &value)?.into_value()),
        None => Ok(Value::new_undefined(ctx)),
    }
}

fn log(level: u8, message: String) {
    let level = match level {
        0 => context::LogLevel::Trace,
        1 => context::LogLevel::Debug,
        3 => context::LogLevel::Warn,
        4 => context::LogLevel::Error,
        _ => context::LogLevel::Info,
    };
    context::log(level, &message);
}

/// An error as a log line shows it: what it says, then where in the user's files.
fn error_text(message: String, stack: String) -> String {
    let mut text = message;
    for frame in convert::user_frames(&stack).lines() {
        text.push_str("\n    ");
        text.push_str(frame);
    }
    text
}
