//! An agent's durable state as a document: exporting and importing it.

use super::agents::address;
use crate::body;
use crate::caller::{Change, Who};
use crate::options;
use crate::reply::{Failure, document, json_bytes};
use crate::request::{ImportParameters, Parameters, Segments};
use crate::room::Share;
use crate::state::AppState;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use eddy_api::{
    AGENT_DOCUMENT_VERSION, AgentDocument, AgentTimer, Base64, ImportedAgent, Problem, StateValue,
};
use eddy_core::{Import, Timer, Value};
use eddy_node::{AgentExport, CallOptions, TenantPermit};
use eddy_types::limits::MAX_AGENT_IMPORT_BYTES;
use eddy_types::{AgentId, EddyError, MethodName};
use http_body_util::{BodyExt as _, Full};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Export an agent
///
/// Everything durable that belongs to it, as it is between two turns, without waking it: its state and the
/// timers still to fire. What it answered to idempotency keys stays, and so does what it has sent.
#[utoipa::path(
    get,
    path = "/v1/state/{type}/{key}",
    tag = "agents",
    operation_id = "exportAgent",
    params(
        ("type" = String, Path, description = "The agent type"),
        ("key" = String, Path, description = "The key, percent-encoded"),
    ),
    responses(
        (status = 200, description = "The document", body = AgentDocument),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn export(
    State(state): State<AppState>,
    who: Who<Change>,
    Segments((agent_type, key)): Segments<(String, String)>,
) -> Result<Response, Failure> {
    let agent = address(who.tenant(), &agent_type, &key)?;
    let own = agent.clone();
    let shaped = move |export| exported(&own, export)?.text();
    let text = state.node.export_agent(&agent, shaped).await?;
    let room = state.exports.reserve(who.tenant(), text.len())?;
    Ok(carrying(room, text))
}

/// An answer whose body has its room along: whoever reads slowly holds it.
fn carrying(room: Share, text: Bytes) -> Response {
    let body = Full::new(text).map_err(move |never| {
        let _along = &room;
        never
    });
    let mut response = json_bytes(StatusCode::OK, Bytes::new());
    *response.body_mut() = Body::new(body);
    response
}

/// Import an agent
///
/// Gives it the state and the timers of the document, as one turn: all of it or nothing. The agent's code does
/// not run, and reads the new state at its next turn. The address is the route's, whatever the document says.
#[utoipa::path(
    put,
    path = "/v1/state/{type}/{key}",
    tag = "agents",
    operation_id = "importAgent",
    params(
        ("type" = String, Path, description = "The agent type"),
        ("key" = String, Path, description = "The key, percent-encoded"),
        ImportParameters,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat answer as the first request did, for 24 hours"),
        ("Eddy-Timeout" = Option<String>, Header, description = "The longest to wait, such as `2s`"),
    ),
    request_body(content = AgentDocument, description = "What an export gave"),
    responses(
        (status = 200, description = "It is in place", body = ImportedAgent),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn import(
    State(state): State<AppState>,
    who: Who<Change>,
    Segments((agent_type, key)): Segments<(String, String)>,
    Parameters(parameters): Parameters<ImportParameters>,
    request: Request,
) -> Result<Response, Failure> {
    let agent = address(who.tenant(), &agent_type, &key)?;
    let (parts, body) = request.into_parts();
    let permit = parts.extensions.get::<Arc<TenantPermit>>().cloned();
    let options = CallOptions {
        permit,
        ..options::call_options(&parts.headers)?
    };
    let held = body::read(&state, &parts, body, MAX_AGENT_IMPORT_BYTES).await?;
    let read = move || imported(&held.bytes, parameters.replace);
    let replaced = state.node.import_agent(agent, read, options).await?;
    Ok(document(StatusCode::OK, &ImportedAgent { replaced }))
}

fn exported(agent: &AgentId, export: AgentExport) -> Result<AgentDocument, EddyError> {
    let state = export.state.into_iter();
    let timers = export.timers.into_iter();
    Ok(AgentDocument {
        version: AGENT_DOCUMENT_VERSION,
        agent_type: agent.agent_type().to_string(),
        key: agent.key().to_string(),
        state: state
            .map(|(key, own)| Ok((key, state_value(own)?)))
            .collect::<Result<_, EddyError>>()?,
        timers: timers
            .map(|(name, own)| Ok((name, timer(own)?)))
            .collect::<Result<_, EddyError>>()?,
    })
}

fn state_value(value: Value) -> Result<StateValue, EddyError> {
    Ok(match value {
        Value::Json(json) => StateValue::Json(raw(&json)?),
        Value::Bytes(bytes) => StateValue::Bytes(Base64(bytes)),
    })
}

fn timer(timer: Timer) -> Result<AgentTimer, EddyError> {
    Ok(AgentTimer {
        at: timer.at,
        method: timer.method.to_string(),
        argument: raw(&timer.argument)?,
    })
}

fn raw(json: &[u8]) -> Result<Box<RawValue>, EddyError> {
    serde_json::from_slice(json)
        .map_err(|error| EddyError::internal(format!("what is stored as JSON is not: {error}")))
}

fn imported(text: &[u8], replace: bool) -> Result<Import, EddyError> {
    let document = AgentDocument::parse(text)?;
    let mut import = Import::new(replace);
    let json = |raw: Box<RawValue>| String::from(Box::<str>::from(raw)).into();
    for (key, value) in document.state {
        let value = match value {
            StateValue::Json(raw) => Value::Json(json(raw)),
            StateValue::Bytes(Base64(bytes)) => Value::Bytes(bytes),
        };
        import.state(&key, value)?;
    }
    for (name, timer) in document.timers {
        let method = MethodName::new(&timer.method)?;
        import.timer(&name, timer.at, method, json(timer.argument))?;
    }
    Ok(import)
}
