//! Deliveries that were given up: see them, send them again, drop them.

use crate::caller::{Change, Look, Who};
use crate::convert;
use crate::reply::{Failure, document};
use crate::request::{Options, PageParameters, Parameters, Segments};
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use eddy_api::{DeadLetterPage, Problem};

/// List dead letters
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "dead letters",
    operation_id = "listDeadLetters",
    params(PageParameters),
    responses(
        (status = 200, description = "A page of dead letters", body = DeadLetterPage),
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
        .dead_letters(who.tenant(), &parameters.into())
        .await?;
    let items = page.items.into_iter().map(convert::dead_letter).collect();
    Ok(document(
        StatusCode::OK,
        &DeadLetterPage {
            items,
            next: page.next,
        },
    ))
}

/// Send a dead letter again
///
/// As a new send, with all its attempts. A repeat of this request answers `unknown-dead-letter`.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/redrive",
    tag = "dead letters",
    operation_id = "redriveDeadLetter",
    params(("id" = String, Path, description = "The dead letter")),
    responses(
        (status = 204, description = "It is on its way"),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn redrive(
    State(state): State<AppState>,
    who: Who<Change>,
    Segments(id): Segments<String>,
    Options(_): Options,
) -> Result<StatusCode, Failure> {
    state.node.redrive(who.tenant(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drop a dead letter
#[utoipa::path(
    delete,
    path = "/v1/dead-letters/{id}",
    tag = "dead letters",
    operation_id = "discardDeadLetter",
    params(("id" = String, Path, description = "The dead letter")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn discard(
    State(state): State<AppState>,
    who: Who<Change>,
    Segments(id): Segments<String>,
    Options(_): Options,
) -> Result<StatusCode, Failure> {
    state.node.discard(who.tenant(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
