#![allow(unsafe_code, reason = "buffers of typed arrays are raw memory")]
//! Between JavaScript values and what crosses the component's boundary: JSON, bytes, failures.

use crate::bindings::eddy::platform::types::{Failure, Value as StateValue};
use crate::engine::{self, Hooks};
use rquickjs::{Ctx, Error, IntoJs, Result, String as JsString, TypedArray, Value};

/// A failure of the runtime itself.
pub fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.into(),
        stack: None,
        status: None,
        details: None,
    }
}

/// Throws what the node answered as an `EddyError`.
pub fn throw(ctx: &Ctx<'_>, failure: Failure) -> Error {
    match to_error(ctx, failure) {
        Ok(value) => ctx.throw(value),
        Err(error) => error,
    }
}

/// What the node answered, as an `EddyError`.
pub fn to_error<'js>(ctx: &Ctx<'js>, failure: Failure) -> Result<Value<'js>> {
    let details = match failure.details {
        Some(json) => ctx.json_parse(json)?,
        None => Value::new_undefined(ctx.clone()),
    };
    let make = engine::hooks(|hooks| engine::function(ctx, &hooks.fail))?;
    make.call((failure.code, failure.message, failure.status, details))
}

/// What the program threw, as its failure.
pub fn from_thrown<'js>(ctx: &Ctx<'js>, hooks: &Hooks, thrown: Value<'js>) -> Failure {
    type Parts = (String, String, Option<String>, Option<u16>, Option<String>);
    let parts = engine::function(ctx, &hooks.describe)
        .and_then(|describe| describe.call::<_, rquickjs::Array<'js>>((thrown,)))
        .and_then(|parts| -> Result<Parts> {
            Ok((
                parts.get(0)?,
                parts.get(1)?,
                parts.get(2)?,
                parts.get(3)?,
                parts.get(4)?,
            ))
        });
    match parts {
        Ok((code, message, stack, status, details)) => Failure {
            code,
            message,
            stack: stack
                .map(|stack| user_frames(&stack))
                .filter(|stack| !stack.is_empty()),
            status,
            details: details.map(String::into_bytes),
        },
        Err(_) => {
            ctx.catch();
            failure("Error", "an error that cannot be described was thrown")
        }
    }
}

/// The pending exception, as a failure.
pub fn from_caught<'js>(ctx: &Ctx<'js>, hooks: &Hooks, error: &Error) -> Failure {
    if error.is_exception() {
        return from_thrown(ctx, hooks, ctx.catch());
    }
    failure("TypeError", error.to_string())
}

/// The frames of a stack that lie in the program's own files.
pub fn user_frames(stack: &str) -> String {
    let own = |frame: &&str| {
        frame.starts_with("at ")
            && !frame.contains("(eddy:")
            && !frame.starts_with("at eddy:")
            && !frame.contains("(native)")
            && !frame.ends_with("at native")
            && !frame.contains("<input>")
    };
    stack
        .lines()
        .map(str::trim)
        .filter(own)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A value as the argument of a message: `undefined` is `null`.
pub fn payload<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Vec<u8>> {
    if value.is_undefined() {
        return Ok(b"null".to_vec());
    }
    json(ctx, value)?.ok_or_else(|| not_json(ctx, "the argument"))
}

/// A value as JSON text; none when JSON has no word for it (a function, a symbol).
pub fn json<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Option<Vec<u8>>> {
    match ctx.json_stringify(value)? {
        Some(text) => Ok(Some(text.to_string()?.into_bytes())),
        None => Ok(None),
    }
}

/// JSON text as the argument of a handler: empty and `null` are `undefined`, so that defaults apply.
pub fn argument<'js>(ctx: &Ctx<'js>, json: Vec<u8>) -> Result<Value<'js>> {
    if json.is_empty() || json == b"null" {
        return Ok(Value::new_undefined(ctx.clone()));
    }
    let value = ctx.json_parse(json)?;
    if value.is_null() {
        Ok(Value::new_undefined(ctx.clone()))
    } else {
        Ok(value)
    }
}

/// A value to be kept in state.
pub fn to_state<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<StateValue> {
    if let Some(bytes) = bytes(&value) {
        return Ok(StateValue::Bytes(bytes));
    }
    json(ctx, value)?
        .map(StateValue::Json)
        .ok_or_else(|| not_json(ctx, "the value"))
}

/// A kept value.
pub fn from_state<'js>(ctx: &Ctx<'js>, value: StateValue) -> Result<Value<'js>> {
    match value {
        StateValue::Json(json) => ctx.json_parse(json),
        StateValue::Bytes(bytes) => TypedArray::<u8>::new_copy(ctx.clone(), bytes)?.into_js(ctx),
    }
}

/// The bytes of a `Uint8Array` or an `ArrayBuffer`; none of anything else.
pub fn bytes(value: &Value<'_>) -> Option<Vec<u8>> {
    let object = value.as_object()?;
    if let Some(array) = object.as_typed_array::<u8>() {
        return copy(array);
    }
    let raw = object.as_array_buffer()?.as_raw()?;
    // SAFETY: as in `copy`.
    Some(unsafe { raw.as_ref() }.to_vec())
}

/// The bytes of a `Uint8Array`; none when its buffer is detached.
pub fn copy(array: &TypedArray<'_, u8>) -> Option<Vec<u8>> {
    let raw = array.as_raw()?;
    // SAFETY: the buffer is live, and no JavaScript runs that could change it while it is copied.
    Some(unsafe { raw.as_ref() }.to_vec())
}

/// A JavaScript string of UTF-8 text.
pub fn string<'js>(ctx: &Ctx<'js>, text: &str) -> Result<JsString<'js>> {
    JsString::from_str(ctx.clone(), text)
}

fn not_json(ctx: &Ctx<'_>, what: &str) -> Error {
    rquickjs::Exception::throw_type(
        ctx,
        &format!("{what} is a function or symbol, which JSON cannot hold"),
    )
}
