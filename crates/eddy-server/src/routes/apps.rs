//! Deploying, listing and removing apps.

use crate::body;
use crate::caller::{Change, Look, Who};
use crate::reply::{Failure, document};
use crate::request::{Options, Segments};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use eddy_api::{App, AppList, DeployComponent, DeployRequest, Problem};
use eddy_node::{Code, Deployment, Module, PythonModule, Runtime};
use eddy_types::limits::{MAX_DEPLOY_BYTES, MAX_MANIFEST_BYTES};
use eddy_types::{AppSpec, EddyError, ErrorCode, Manifest, Name, TenantId};

/// Deploy an app
///
/// Compiles and checks it, stores it as the next version of its name, and switches to it. Nothing
/// changes when it fails. Deploying what is deployed already changes nothing either.
#[utoipa::path(
    post,
    path = "/v1/apps",
    tag = "apps",
    operation_id = "deployApp",
    request_body = DeployRequest,
    responses(
        (status = 200, description = "The app as it now runs", body = App),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn deploy(
    State(state): State<AppState>,
    who: Who<Change>,
    Options(_): Options,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts, body, MAX_DEPLOY_BYTES).await?;
    // Few at a time: compiling takes every core. Not before the body is there, or slow clients
    // would keep everybody from deploying; bodies that wait here count as room for bodies.
    // The tenant's own turn first, or its deploys would stand in everybody's line.
    let _own = who.deploy_turn().await?;
    let _turn = state
        .deploys
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let deployment = deployment(&held.bytes)?;
    drop(held);
    let app = state.node.deploy(who.tenant(), deployment).await?;
    Ok(document(StatusCode::OK, &App::from(&*app)))
}

/// List apps
#[utoipa::path(
    get,
    path = "/v1/apps",
    tag = "apps",
    operation_id = "listApps",
    responses(
        (status = 200, description = "All apps, by name", body = AppList),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(State(state): State<AppState>, who: Who<Look>) -> Response {
    let items = state
        .node
        .apps(who.tenant())
        .iter()
        .map(|app| shown(&state, who.tenant(), app))
        .collect();
    document(StatusCode::OK, &AppList { items })
}

/// Show an app
#[utoipa::path(
    get,
    path = "/v1/apps/{name}",
    tag = "apps",
    operation_id = "showApp",
    params(("name" = String, Path, description = "The app")),
    responses(
        (status = 200, description = "The app", body = App),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    who: Who<Look>,
    Segments(name): Segments<String>,
) -> Result<Response, Failure> {
    let app = state.node.app(who.tenant(), &Name::new(&name)?)?;
    Ok(document(StatusCode::OK, &shown(&state, who.tenant(), &app)))
}

/// An app with what is wrong with it.
fn shown(state: &AppState, tenant: &TenantId, app: &AppSpec) -> App {
    let trouble = state.node.app_trouble(tenant, &app.name);
    App {
        error: trouble.as_ref().map(Problem::from),
        ..App::from(app)
    }
}

/// Remove an app
///
/// Its functions and agent types are gone; the state of its agents stays for the next app that
/// defines them.
#[utoipa::path(
    delete,
    path = "/v1/apps/{name}",
    tag = "apps",
    operation_id = "deleteApp",
    params(("name" = String, Path, description = "The app")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    who: Who<Change>,
    Segments(name): Segments<String>,
    Options(_): Options,
) -> Result<StatusCode, Failure> {
    state
        .node
        .delete_app(who.tenant(), &Name::new(&name)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn deployment(body: &[u8]) -> Result<Deployment, EddyError> {
    let request: DeployRequest =
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => EddyError::new(
                ErrorCode::InvalidArgument,
                format!("the deploy is malformed: {error}"),
            )
            .hint("/v1/openapi.json describes the document; `eddy deploy` makes it for you."),
            _ => body::invalid_json(error),
        })?;
    let manifest = request.manifest.get();
    if manifest.len() > MAX_MANIFEST_BYTES {
        let detail = format!("the manifest is larger than {MAX_MANIFEST_BYTES} bytes");
        return Err(EddyError::new(ErrorCode::InvalidManifest, detail)
            .hint("Keep large settings in the state of an agent, or in the code."));
    }
    let manifest: Manifest = serde_json::from_str(manifest).map_err(|error| {
        EddyError::new(
            ErrorCode::InvalidManifest,
            format!("the manifest is wrong: {error}"),
        )
        .hint("docs/manifest.md lists its keys.")
    })?;
    let components = request
        .components
        .into_iter()
        .map(component)
        .collect::<Result<_, _>>()?;
    Ok(Deployment {
        manifest,
        components,
    })
}

fn component(component: DeployComponent) -> Result<(Name, Code), EddyError> {
    Ok(match component {
        DeployComponent::Wasm { name, wasm } => (Name::new(&name)?, Code::Wasm(wasm.0)),
        DeployComponent::Js { name, modules } => {
            let modules = modules.into_iter().map(|module| Module {
                name: module.name,
                source: module.source,
                source_map: module.source_map,
            });
            (Name::new(&name)?, Code::Js(modules.collect()))
        }
        DeployComponent::Python {
            name,
            modules,
            runtime,
            wasm,
        } => {
            let modules = modules.into_iter().map(|module| PythonModule {
                name: module.name,
                path: module.path,
                source: module.source,
            });
            let digest = runtime.parse().map_err(|why| {
                EddyError::new(
                    ErrorCode::InvalidArgument,
                    format!("runtime {runtime:?}: {why}"),
                )
                .hint("Name the runtime by the SHA-256 of its bytes.")
            })?;
            let runtime = Runtime {
                digest,
                bytes: wasm.map(|wasm| wasm.0),
            };
            let modules = modules.collect();
            (Name::new(&name)?, Code::Python { modules, runtime })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn code_of(body: &str) -> (ErrorCode, String) {
        let error = deployment(body.as_bytes()).expect_err(body);
        (error.code, error.detail)
    }

    #[test]
    fn each_kind_of_mistake_has_its_code() {
        let (code, detail) = code_of("{\"manifest\": ");
        assert_eq!(code, ErrorCode::InvalidJson);
        assert!(detail.contains("line 1"), "{detail}");
        assert_eq!(code_of("{\"manifest\": {}}").0, ErrorCode::InvalidArgument);
        let (code, _) =
            code_of("{\"manifest\": {\"name\": \"a\", \"nome\": 1}, \"components\": []}");
        assert_eq!(code, ErrorCode::InvalidManifest);
        let bad_name =
            r#"{"manifest":{"name":"a"},"components":[{"kind":"wasm","name":"1","wasm":""}]}"#;
        assert_eq!(code_of(bad_name).0, ErrorCode::InvalidName);
        let bad_bytes =
            r#"{"manifest":{"name":"a"},"components":[{"kind":"wasm","name":"b","wasm":"*"}]}"#;
        assert_eq!(code_of(bad_bytes).0, ErrorCode::InvalidArgument);
    }

    #[test]
    fn code_arrives_as_it_was_sent() {
        let body =
            r#"{"manifest":{"name":"a"},"components":[{"kind":"wasm","name":"b","wasm":"AP8="}]}"#;
        let deployment = deployment(body.as_bytes()).expect("a good deploy");
        let [(name, Code::Wasm(bytes))] = &deployment.components[..] else {
            panic!("one wasm")
        };
        assert_eq!(
            (name.as_str(), bytes),
            ("b", &Bytes::from_static(b"\0\xff"))
        );
    }
}
