//! What a component that answers HTTP may ask of Eddy besides: functions and agents, in the interface of Eddy's own
//! world.

use crate::io::{query, text};
use platform::eddy::platform::{context, effects, outbox};
use wasip2::http::types::ResponseOutparam;

/// What the WIT generates.
mod platform {
    #![allow(missing_docs, reason = "generated from wit/, which documents it")]
    wit_bindgen::generate!({
        inline: "package eddy:http-guest; world asks {
            import eddy:platform/effects@0.1.0;
            import eddy:platform/outbox@0.1.0;
            import eddy:platform/context@0.1.0;
        }",
        world: "eddy:http-guest/asks",
        path: "../../wit",
        generate_all,
    });
}

/// Invokes a function, and answers with its result.
pub fn invoke(out: ResponseOutparam, asked: &str) {
    let argument = query(asked, "argument");
    let pending = match effects::invoke(&query(asked, "function"), argument.as_bytes()) {
        Ok(pending) => pending,
        Err(failure) => return text(out, 500, &failure.code),
    };
    effects::wait(&[&pending]).expect("it is under way");
    match pending.take().expect("it is there") {
        Ok(effects::Outcome::Json(result)) => text(out, 200, &String::from_utf8_lossy(&result)),
        Ok(_) => text(out, 500, "not a result"),
        Err(failure) => text(out, 500, &failure.code),
    }
}

/// Sends an agent a message, and answers with the invocation's id.
pub fn send(out: ResponseOutparam, asked: &str) {
    let (agent, key, method) = (
        query(asked, "type"),
        query(asked, "key"),
        query(asked, "method"),
    );
    match outbox::send(&agent, &key, &method, b"{\"by\":1}") {
        Ok(()) => text(out, 200, &context::invocation()),
        Err(failure) => text(out, 500, &failure.code),
    }
}
