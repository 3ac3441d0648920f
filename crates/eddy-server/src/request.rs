//! Extractors whose refusals are problem documents.

use crate::body::{self, Held};
use crate::options;
use crate::reply::Failure;
use crate::state::AppState;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use eddy_node::{CallOptions, PageRequest, Session, TenantPermit};
use eddy_types::{EddyError, ErrorCode, Permission};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use utoipa::IntoParams;

/// The segments of the path, percent-decoded: `%2F` is part of a key.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(rejection) => Err(EddyError::new(
                ErrorCode::InvalidName,
                format!("the path cannot be read: {}", rejection.body_text()),
            )
            .hint("Percent-encode names and keys as UTF-8.")
            .into()),
        }
    }
}

/// The query parameters; unknown ones are refused.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(EddyError::new(
                ErrorCode::InvalidArgument,
                rejection.body_text(),
            )
            .hint("See /v1/openapi.json for the parameters of each route.")
            .into()),
        }
    }
}

/// Listings and imports read their query themselves; every other route has none.
pub(crate) fn no_strange_query(method: &Method, uri: &Uri) -> Result<(), EddyError> {
    let Some(query) = uri.query().filter(|query| !query.is_empty()) else {
        return Ok(());
    };
    let path = uri.path();
    let of_a_type = path.strip_prefix("/v1/agents/");
    let lists = matches!(path, "/v1/invocations" | "/v1/logs" | "/v1/dead-letters")
        || of_a_type.is_some_and(|rest| !rest.contains('/'));
    if lists && matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    if path.starts_with("/v1/state/") && *method == Method::PUT {
        return Ok(());
    }
    Err(EddyError::new(
        ErrorCode::InvalidArgument,
        format!("{path} takes no query parameters, but has {query:?}"),
    )
    .hint("Arguments go into the body, options into headers. See /v1/openapi.json."))
}

/// Which part of a listing is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParameters {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries wanted, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Which agents are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AgentParameters {
    /// What their keys begin with.
    #[serde(default)]
    #[param(required = false)]
    pub(crate) prefix: String,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries wanted, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// How an agent is imported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParameters {
    /// Whether an agent that exists is replaced; it is refused (`agent-exists`) unless asked for.
    #[serde(default)]
    #[param(required = false)]
    pub(crate) replace: bool,
}

impl From<PageParameters> for PageRequest {
    fn from(page: PageParameters) -> Self {
        Self {
            cursor: page.cursor,
            limit: page.limit,
        }
    }
}

impl AgentParameters {
    /// Where the page begins, and the prefix.
    pub(crate) fn split(self) -> (PageRequest, String) {
        (
            PageRequest {
                cursor: self.cursor,
                limit: self.limit,
            },
            self.prefix,
        )
    }
}

/// The options of a request without a body.
pub(crate) struct Options(pub(crate) CallOptions);

impl<S: Send + Sync> FromRequestParts<S> for Options {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(options::call_options(&parts.headers)?))
    }
}

/// A call: its options and its argument.
pub(crate) struct Call {
    pub(crate) options: CallOptions,
    pub(crate) respond_async: bool,
    pub(crate) argument: Held,
}

impl FromRequest<AppState> for Call {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let options = options::call_options(&parts.headers)?;
        let session = parts.extensions.get::<Session>();
        let suggest = session.is_some_and(|session| session.may(Permission::Look).is_ok());
        let permit = parts.extensions.get::<Arc<TenantPermit>>().cloned();
        Ok(Self {
            options: CallOptions {
                suggest,
                permit,
                ..options
            },
            respond_async: options::responds_async(&parts.headers),
            argument: body::argument(state, &parts, body).await?,
        })
    }
}
