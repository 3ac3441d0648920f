//! Who a request comes from: the token it shows, the tenant it is for, and whether its bearer may do
//! what the route does. Found out before anything of the body is read.

use crate::options::single;
use crate::reply::Failure;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use eddy_api::headers::TENANT;
use eddy_node::{Node, Session};
use eddy_types::{EddyError, ErrorCode, Permission};
use std::marker::PhantomData;
use std::ops::Deref;

/// Reads the token and the tenant of a request.
///
/// # Errors
/// `unauthenticated`, `permission-denied`, `unknown-tenant`; `invalid-argument` for a header that
/// makes no sense.
pub(crate) fn session(node: &Node, headers: &HeaderMap) -> Result<Session, EddyError> {
    let token = bearer(headers)?;
    session_of(node, headers, token)
}

/// The same for a request that an app answers: where nobody has to show a token, `Authorization` is the app's.
pub(crate) fn session_with_an_app(node: &Node, headers: &HeaderMap) -> Result<Session, EddyError> {
    match node.demands_tokens() {
        true => session(node, headers),
        false => session_of(node, headers, None),
    }
}

fn session_of(node: &Node, headers: &HeaderMap, token: Option<&str>) -> Result<Session, EddyError> {
    let tenant = single(headers, TENANT)?;
    let tenant = tenant.map(|value| value.to_str().unwrap_or("\u{fffd}"));
    node.session(token, tenant)
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, EddyError> {
    let Some(value) = single(headers, header::AUTHORIZATION.as_str())? else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // What was sent may be a password: it is not repeated.
        let detail = "the header Authorization is not of the form `Bearer TOKEN`";
        return Err(EddyError::new(ErrorCode::Unauthenticated, detail)
            .hint("Send a token that `eddy token create` made."));
    }
    Ok(Some(token.trim()))
}

/// A permission as a type, for the routes to name.
pub(crate) trait Needs: Send + Sync {
    const PERMISSION: Permission;
}

macro_rules! needs {
    ($($name:ident),*) => {
        $(
            /// See [`Permission`].
            pub(crate) struct $name;

            impl Needs for $name {
                const PERMISSION: Permission = Permission::$name;
            }
        )*
    };
}

needs!(Look, Follow, Call, Change, Administer, Operate);

/// The session of a bearer who may do what `N` says. A route without one is open to everybody.
pub(crate) struct Who<N>(Session, PhantomData<N>);

impl<N> Deref for Who<N> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl<S: Send + Sync, N: Needs> FromRequestParts<S> for Who<N> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let session = parts.extensions.get::<Session>().cloned();
        let session = session.ok_or_else(|| EddyError::internal("a request has no session"))?;
        session.may(N::PERMISSION)?;
        Ok(Self(session, PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(value: &'static str) -> Result<Option<String>, EddyError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        bearer(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn only_bearer_tokens_are_read_and_nothing_else_is_repeated() {
        assert_eq!(read("Bearer eddy_1_2"), Ok(Some("eddy_1_2".to_owned())));
        assert_eq!(read("bearer  x "), Ok(Some("x".to_owned())));
        assert_eq!(bearer(&HeaderMap::new()), Ok(None));
        let refused = read("Basic c2VjcmV0").expect_err("a password");
        assert_eq!(refused.code, ErrorCode::Unauthenticated);
        assert!(!refused.to_string().contains("c2Vj"), "{refused}");
    }
}
