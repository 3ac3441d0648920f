//! Records of what ran.

use crate::caller::{Follow, Look, Who};
use crate::convert;
use crate::reply::{Failure, document};
use crate::request::{PageParameters, Parameters, Segments};
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use eddy_api::{Invocation, InvocationPage, Problem};
use eddy_core::MessageId;
use eddy_types::{EddyError, ErrorCode};

/// List invocations
///
/// Newest first. Records of plain synchronous invocations are best-effort; those with an
/// idempotency key and asynchronous ones are durable.
#[utoipa::path(
    get,
    path = "/v1/invocations",
    tag = "invocations",
    operation_id = "listInvocations",
    params(PageParameters),
    responses(
        (status = 200, description = "A page of invocations", body = InvocationPage),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    who: Who<Look>,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Response, Failure> {
    let page = state
        .node
        .invocations(who.tenant(), &parameters.into())
        .await?;
    let items = page.items.into_iter().map(convert::invocation).collect();
    Ok(document(
        StatusCode::OK,
        &InvocationPage {
            items,
            next: page.next,
        },
    ))
}

/// Show an invocation
#[utoipa::path(
    get,
    path = "/v1/invocations/{id}",
    tag = "invocations",
    operation_id = "showInvocation",
    params(("id" = String, Path, description = "32 hex digits, as in `Eddy-Invocation`")),
    responses(
        (status = 200, description = "The invocation", body = Invocation),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    who: Who<Follow>,
    Segments(id): Segments<String>,
) -> Result<Response, Failure> {
    let id: MessageId = id.parse().map_err(|why: &str| {
        EddyError::new(
            ErrorCode::UnknownInvocation,
            format!("{id:?} names no invocation: {why}"),
        )
        .hint("Take the id from the header Eddy-Invocation, or from /v1/invocations.")
    })?;
    let info = state.node.invocation(who.tenant(), id)?;
    Ok(document(StatusCode::OK, &convert::invocation(info)))
}
