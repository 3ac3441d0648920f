//! The routes: a file per group. Each handler carries its own OpenAPI description, and the router
//! is built from the same list, so that no route can be missing from it.

mod agents;
mod apps;
mod dead_letters;
mod functions;
mod invocations;
mod logs;
mod operations;
mod portable;
pub(crate) mod serve;
mod tenants;
mod tokens;

use crate::reply::Failure;
use crate::state::AppState;
use axum::Router;
use axum::http::{Method, Uri};
use eddy_types::{EddyError, ErrorCode};
use prometheus_client::registry::Registry;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The frame that the routes fill.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Eddy",
        description = "Functions and durable agents. Errors are problem documents (RFC 9457); docs/http.md explains headers, limits and errors. What is below /apps/{app} is answered by the apps themselves, whatever the method.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(eddy_api::Problem)),
    modifiers(&Bearer),
    security((), ("token" = [])),
    tags(
        (name = "functions", description = "Stateless handlers"),
        (name = "agents", description = "Addressable handlers with durable state"),
        (name = "invocations", description = "Records of what ran"),
        (name = "logs", description = "What guests log"),
        (name = "apps", description = "What is deployed"),
        (name = "dead letters", description = "Deliveries that were given up"),
        (name = "tokens", description = "Who may do what"),
        (name = "tenants", description = "What they may use"),
        (name = "operations", description = "Health and metrics"),
    ),
)]
struct Frame;

/// How a token is shown. A node without tokens needs none.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let parts = api.components.get_or_insert_default();
        parts.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(functions::invoke))
        .routes(routes!(agents::call))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show, agents::delete))
        .routes(routes!(portable::export, portable::import))
        .routes(routes!(invocations::list))
        .routes(routes!(invocations::show))
        .routes(routes!(logs::read))
        .routes(routes!(apps::deploy, apps::list))
        .routes(routes!(apps::show, apps::delete))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::show, tenants::set))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
}

/// The whole router.
pub(crate) fn router(state: AppState, metrics: Registry) -> Router {
    let (router, api) = described().split_for_parts();
    let description = openapi_text(&api);
    router
        .merge(operations::metrics_route(metrics))
        .merge(operations::openapi_route(description))
        .merge(serve::route())
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
}

/// The OpenAPI description, as `/v1/openapi.json` serves it and docs/openapi.json keeps it.
#[must_use]
pub fn openapi_json() -> String {
    openapi_text(described().get_openapi())
}

fn openapi_text(api: &utoipa::openapi::OpenApi) -> String {
    let mut text = api.to_pretty_json().expect("a description is plain data");
    text.push('\n');
    text
}

async fn unknown_route(method: Method, uri: Uri) -> Failure {
    EddyError::new(
        ErrorCode::UnknownRoute,
        format!("there is no route {method} {}", uri.path()),
    )
    .hint("/v1/openapi.json lists the routes; a \"/\" inside a key is written %2F.")
    .into()
}

async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    EddyError::new(
        ErrorCode::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
    .hint("The header Allow says which methods it takes; /v1/openapi.json describes them.")
    .into()
}
