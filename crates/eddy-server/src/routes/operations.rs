//! Health, metrics, and the description of the API.

use crate::caller::{Operate, Who};
use crate::metrics::{OPENMETRICS, PROMETHEUS, text};
use crate::reply::{Failure, JSON, json_bytes};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use eddy_api::Problem;
use eddy_types::{EddyError, ErrorCode};
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// Whether the process is alive
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    operation_id = "health",
    responses((status = 200, description = "It is", body = serde_json::Value)),
)]
pub(crate) async fn healthz() -> Response {
    ok()
}

/// Whether the node serves
///
/// It does not while it starts, drains, or after its disk failed.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    operation_id = "ready",
    responses(
        (status = 200, description = "It serves", body = serde_json::Value),
        (status = 503, description = "The reason why not", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Result<Response, Failure> {
    state.node.ready().map_err(untold)?;
    Ok(ok())
}

/// Anybody may ask here, and the details of a disk that failed name files.
fn untold(error: EddyError) -> EddyError {
    match error.code {
        ErrorCode::ShuttingDown => error,
        code => EddyError::new(code, "the node has stopped by itself")
            .hint("Its log says why; then start it again."),
    }
}

fn ok() -> Response {
    json_bytes(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ok\"}"))
}

/// `/metrics`, outside the description: its format is its own standard.
pub(crate) fn metrics_route(registry: Registry) -> Router<AppState> {
    let registry = Arc::new(registry);
    Router::new().route(
        "/metrics",
        get(async move |_: Who<Operate>, headers: HeaderMap| metrics(&registry, &headers)),
    )
}

fn metrics(registry: &Registry, headers: &HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|text| text.to_str().ok())
        .unwrap_or_default();
    let openmetrics = accept.contains("application/openmetrics-text");
    let media = if openmetrics { OPENMETRICS } else { PROMETHEUS };
    match text(registry, openmetrics) {
        Ok(text) => (
            [(header::CONTENT_TYPE, HeaderValue::from_static(media))],
            text,
        )
            .into_response(),
        Err(_) => Failure::from(EddyError::internal("the metrics do not encode")).into_response(),
    }
}

/// `/v1/openapi.json`.
pub(crate) fn openapi_route(description: String) -> Router<AppState> {
    let description = Bytes::from(description);
    let serve = async move || ([(header::CONTENT_TYPE, JSON)], description.clone());
    Router::new().route("/v1/openapi.json", get(serve))
}
