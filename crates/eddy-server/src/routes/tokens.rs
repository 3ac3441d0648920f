//! Making, listing and revoking tokens.

use crate::body;
use crate::caller::{Administer, Who};
use crate::convert;
use crate::reply::{Failure, document};
use crate::request::{Options, Segments};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use eddy_api::{CreatedToken, NewToken, Problem, TokenList};
use eddy_types::{EddyError, ErrorCode, Role, TenantId};

/// Make a token
///
/// The first token of a node has to be an operator's; from then on every request needs one. An admin
/// makes tokens of the own tenant, an operator any. The answer shows the token, this once.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "tokens",
    operation_id = "createToken",
    request_body = NewToken,
    responses(
        (status = 201, description = "The token", body = CreatedToken),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    who: Who<Administer>,
    Options(_): Options,
    request: Request,
) -> Result<Response, Failure> {
    let new: NewToken = body::document(&state, request).await?;
    let new = wanted(&who, new)?;
    let (info, text) = state.node.create_token(&who, new).await?;
    let created = CreatedToken {
        token: text.reveal().to_owned(),
        info: convert::token(info),
    };
    Ok(document(StatusCode::CREATED, &created))
}

fn wanted(who: &eddy_node::Session, new: NewToken) -> Result<eddy_node::NewToken, EddyError> {
    let bad = |detail: String| EddyError::new(ErrorCode::InvalidArgument, detail);
    let role: Role = new.role.parse().map_err(bad)?;
    let tenant = match (&new.tenant, role) {
        (Some(name), _) => Some(TenantId::new(name)?),
        (None, Role::Operator) => None,
        (None, _) => Some(who.tenant().clone()),
    };
    let lifetime = new.expires_in.as_deref().map(|text| {
        humantime::parse_duration(text).map_err(|error| {
            bad(format!(
                "`expires_in` says {text:?}, which is no time: {error}"
            ))
            .hint("Write a number with a unit, such as 12h or 30days.")
        })
    });
    Ok(eddy_node::NewToken {
        tenant,
        role,
        name: new.name,
        lifetime: lifetime.transpose()?,
    })
}

/// List tokens
///
/// Without their secrets: those of the own tenant, for an operator all.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    tag = "tokens",
    operation_id = "listTokens",
    responses(
        (status = 200, description = "The tokens", body = TokenList),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    who: Who<Administer>,
) -> Result<Response, Failure> {
    let items = state
        .node
        .tokens(&who)?
        .into_iter()
        .map(convert::token)
        .collect();
    Ok(document(StatusCode::OK, &TokenList { items }))
}

/// Revoke a token
///
/// It is good for nothing at once, on open connections too.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    tag = "tokens",
    operation_id = "revokeToken",
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 204, description = "It is revoked"),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    who: Who<Administer>,
    Segments(id): Segments<String>,
    Options(_): Options,
) -> Result<StatusCode, Failure> {
    state.node.revoke_token(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
