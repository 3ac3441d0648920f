//! Invoking functions.

use crate::caller::{self, Who};
use crate::convert;
use crate::reply::{Failure, document, invocation_id, outcome};
use crate::request::{Call, Segments};
use crate::state::AppState;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use eddy_api::{Invocation, Problem, headers};
use eddy_types::{FunctionId, Name};

/// Invoke a function
///
/// The body is its argument, the answer its result, both JSON. An empty body is `null`.
#[utoipa::path(
    post,
    path = "/v1/functions/{name}",
    tag = "functions",
    operation_id = "invokeFunction",
    params(
        ("name" = String, Path, description = "The function"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat answer as the first request did, for 24 hours"),
        ("Eddy-Timeout" = Option<String>, Header, description = "The longest to wait, such as `2s`"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer 202 at once; the invocation is durable and runs later"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    request_body(content = Option<serde_json::Value>, content_type = "application/json", description = "The argument"),
    responses(
        (status = 200, description = "The result", body = serde_json::Value, headers(("Eddy-Invocation" = String, description = "The invocation's id"))),
        (status = 202, description = "Accepted", body = Invocation, headers(("Location" = String, description = "The invocation's record"))),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn invoke(
    State(state): State<AppState>,
    who: Who<caller::Call>,
    Segments(name): Segments<String>,
    call: Call,
) -> Result<Response, Failure> {
    let function = FunctionId {
        tenant: who.tenant().clone(),
        name: Name::new(&name)?,
    };
    let argument = call.argument.bytes.clone();
    if !call.respond_async {
        return Ok(outcome(
            state.node.invoke(function, argument, call.options).await?,
        ));
    }
    let id = state
        .node
        .invoke_async(function, argument, call.options)
        .await?;
    let info = state.node.invocation(who.tenant(), id)?;
    let mut response = document(StatusCode::ACCEPTED, &convert::invocation(info));
    let place = HeaderValue::try_from(format!("/v1/invocations/{id}"));
    let answer = response.headers_mut();
    answer.insert(header::LOCATION, place.expect("an id is hex digits"));
    answer.insert(
        headers::PREFERENCE_APPLIED,
        HeaderValue::from_static("respond-async"),
    );
    answer.insert(headers::INVOCATION, invocation_id(id));
    Ok(response)
}
