//! Calling, listing and deleting agents.

use crate::caller::{self, Change, Look, Who};
use crate::convert;
use crate::reply::{Failure, document, outcome};
use crate::request::{AgentParameters, Call, Options, Parameters, Segments};
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use eddy_api::{Agent, AgentPage, Problem};
use eddy_types::{AgentId, EddyError, Key, Name, TenantId};

pub(super) fn address(
    tenant: &TenantId,
    agent_type: &str,
    key: &str,
) -> Result<AgentId, EddyError> {
    Ok(AgentId::new(
        tenant.clone(),
        Name::new(agent_type)?,
        Key::new(key)?,
    ))
}

/// Call a method of an agent
///
/// The body is its argument, the answer its reply, both JSON. An empty body is `null`. The agent is
/// activated by the call; it need not be created.
#[utoipa::path(
    post,
    path = "/v1/agents/{type}/{key}/{method}",
    tag = "agents",
    operation_id = "callAgent",
    params(
        ("type" = String, Path, description = "The agent type"),
        ("key" = String, Path, description = "The key, percent-encoded"),
        ("method" = String, Path, description = "The method"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat answer as the first request did, for 24 hours"),
        ("Eddy-Timeout" = Option<String>, Header, description = "The longest to wait, such as `2s`"),
        ("Eddy-Consistency" = Option<String>, Header, description = "For queries: `live` (the default), or `snapshot` to read committed state beside the live instance"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    request_body(content = Option<serde_json::Value>, content_type = "application/json", description = "The argument"),
    responses(
        (status = 200, description = "The reply", body = serde_json::Value, headers(("Eddy-Invocation" = String, description = "The invocation's id"))),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn call(
    State(state): State<AppState>,
    who: Who<caller::Call>,
    Segments((agent_type, key, method)): Segments<(String, String, String)>,
    call: Call,
) -> Result<Response, Failure> {
    let (agent, method) = state
        .node
        .address(who.tenant(), &agent_type, &key, &method)?;
    let argument = call.argument.bytes.clone();
    Ok(outcome(
        state
            .node
            .call(agent, method, argument, call.options)
            .await?,
    ))
}

/// List the agents of a type
#[utoipa::path(
    get,
    path = "/v1/agents/{type}",
    tag = "agents",
    operation_id = "listAgents",
    params(("type" = String, Path, description = "The agent type"), AgentParameters),
    responses(
        (status = 200, description = "A page of agents, by key", body = AgentPage),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    who: Who<Look>,
    Segments(agent_type): Segments<String>,
    Parameters(parameters): Parameters<AgentParameters>,
) -> Result<Response, Failure> {
    let agent_type = Name::new(&agent_type)?;
    let (page, prefix) = parameters.split();
    let page = state
        .node
        .agents(who.tenant(), &agent_type, &prefix, &page)
        .await?;
    let items = page.items.into_iter().map(convert::agent).collect();
    Ok(document(
        StatusCode::OK,
        &AgentPage {
            items,
            next: page.next,
        },
    ))
}

/// Show what is known of an agent
///
/// Does not wake it.
#[utoipa::path(
    get,
    path = "/v1/agents/{type}/{key}",
    tag = "agents",
    operation_id = "showAgent",
    params(
        ("type" = String, Path, description = "The agent type"),
        ("key" = String, Path, description = "The key, percent-encoded"),
    ),
    responses(
        (status = 200, description = "The agent", body = Agent),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    who: Who<Look>,
    Segments((agent_type, key)): Segments<(String, String)>,
) -> Result<Response, Failure> {
    let agent = address(who.tenant(), &agent_type, &key)?;
    Ok(document(
        StatusCode::OK,
        &convert::agent(state.node.agent(&agent).await?),
    ))
}

/// Delete an agent
///
/// With all its state and timers. What it answered stays remembered, so that a late duplicate does
/// not bring it back.
#[utoipa::path(
    delete,
    path = "/v1/agents/{type}/{key}",
    tag = "agents",
    operation_id = "deleteAgent",
    params(
        ("type" = String, Path, description = "The agent type"),
        ("key" = String, Path, description = "The key, percent-encoded"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat answer as the first request did, for 24 hours"),
        ("Eddy-Timeout" = Option<String>, Header, description = "The longest to wait, such as `2s`"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    who: Who<Change>,
    Segments((agent_type, key)): Segments<(String, String)>,
    Options(options): Options,
) -> Result<StatusCode, Failure> {
    let agent = address(who.tenant(), &agent_type, &key)?;
    state.node.delete_agent(agent, options).await?;
    Ok(StatusCode::NO_CONTENT)
}
