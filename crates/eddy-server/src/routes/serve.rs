//! `/apps/{app}/...`: requests that apps answer themselves. What the app sees of a request is decided here.

use crate::caller::{self, Who};
use crate::forwarded::{Arrival, describe};
use crate::options;
use crate::reply::{Failure, invocation_id, problem};
use crate::state::AppState;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use eddy_api::headers;
use eddy_node::{Answered, CallOptions, HttpError, TenantPermit};
use eddy_types::{EddyError, ErrorCode, Name};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Where the requests for apps begin.
pub(crate) const PREFIX: &str = "/apps/";

/// Headers of one connection (RFC 9110, section 7.6.1), and what the node has dealt with itself.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A request's share of what the node does at once; it goes when the answer has gone out.
#[derive(Clone)]
pub(crate) struct InFlight {
    _place: Arc<OwnedSemaphorePermit>,
}

impl InFlight {
    pub(crate) fn new(place: OwnedSemaphorePermit) -> Self {
        let _place = Arc::new(place);
        Self { _place }
    }
}

/// Not part of the description: what is asked and answered is the apps'.
pub(crate) fn route() -> Router<AppState> {
    Router::new()
        .route("/apps/{app}", any(serve))
        .route("/apps/{app}/", any(serve))
        .route("/apps/{app}/{*path}", any(serve))
}

async fn serve(
    State(state): State<AppState>,
    who: Who<caller::Call>,
    request: Request,
) -> Result<Response, Failure> {
    if request.method() == Method::CONNECT {
        return Ok(([(header::ALLOW, METHODS)], no_tunnel()).into_response());
    }
    let (mut parts, body) = request.into_parts();
    let options = CallOptions {
        permit: parts.extensions.get::<Arc<TenantPermit>>().cloned(),
        ..options::of_a_request_to_an_app(&parts.headers)?
    };
    let place = parts.extensions.get::<InFlight>().cloned();
    let arrival = parts.extensions.get::<Arrival>().copied();
    let arrival = arrival.ok_or_else(|| EddyError::internal("a request came from nowhere"))?;
    let target = Target::of(&parts.uri)?;
    let authority = authority(&parts.uri, &parts.headers)?;
    remove_own(&mut parts.headers, who.is_open());
    describe(&mut parts.headers, &arrival, &authority, &target.prefix);
    parts.uri = target.within(authority, arrival.scheme())?;
    parts.extensions.clear();
    let body = body.map_err(|_| HttpError::Closed).boxed_unsync();
    let request = Request::from_parts(parts, body);
    let answered = state
        .node
        .answer(who.tenant(), &target.app, request, options, place);
    Ok(response(answered.await?, who.is_open()))
}

/// What a path names.
struct Target {
    app: Name,
    /// `/apps/APP`, as it was written.
    prefix: String,
    /// The rest, from its `/` on, and the query.
    rest: String,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, EddyError> {
        let path = uri.path();
        let named = path.strip_prefix(PREFIX).unwrap_or_default();
        let (app, rest) = match named.find('/') {
            Some(at) => named.split_at(at),
            None => (named, "/"),
        };
        if app.is_empty() {
            return Err(
                EddyError::new(ErrorCode::UnknownRoute, format!("{path} names no app"))
                    .hint("Write /apps/APP/..., with the name of an app."),
            );
        }
        let query = uri.query().map(|query| format!("?{query}"));
        let decoded = percent_decode_str(app).decode_utf8_lossy();
        Ok(Self {
            app: Name::new(&decoded)?,
            prefix: format!("{PREFIX}{app}"),
            rest: format!("{rest}{}", query.unwrap_or_default()),
        })
    }

    /// The address of the request as the app sees it.
    fn within(&self, authority: Authority, scheme: Scheme) -> Result<Uri, EddyError> {
        let builder = Uri::builder().scheme(scheme).authority(authority);
        let built = builder.path_and_query(self.rest.as_str()).build();
        built.map_err(|_| {
            EddyError::new(
                ErrorCode::InvalidArgument,
                "the path of the request is not one",
            )
            .hint("Percent-encode it.")
        })
    }
}

/// The name that the client asks for: of HTTP/2 in the address, else in `Host`. HTTP/1.0 has none.
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, EddyError> {
    if let Some(authority) = uri.authority() {
        let good = Some(authority.clone()).filter(is_host);
        return good.ok_or_else(|| no_host(authority.as_str()));
    }
    let Some(host) = options::single(headers, header::HOST.as_str())? else {
        return Ok(Authority::from_static("localhost"));
    };
    let parsed = Authority::try_from(host.as_bytes()).ok().filter(is_host);
    parsed.ok_or_else(|| no_host(&String::from_utf8_lossy(host.as_bytes())))
}

/// A host and a port; nobody in front of them (RFC 9110, section 4.2.4).
fn is_host(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

fn no_host(said: &str) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidArgument,
        format!("the request is for {said:?}, which is no host"),
    )
    .hint("The header Host, or :authority, is a name or an address, and a port.")
}

/// What `Allow` says of an app: it may have methods of its own beside these.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// Its answer would turn the connection into one that carries anything.
fn no_tunnel() -> Failure {
    EddyError::new(
        ErrorCode::MethodNotAllowed,
        "apps make no tunnels: CONNECT is not passed on",
    )
    .hint("Every other method is.")
    .into()
}

/// Takes away what is the connection's, what the node has followed, and the token: it is for the node, and would let the
/// app act as its caller.
fn remove_own(fields: &mut HeaderMap, open: bool) {
    let listed: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // A client could have its proxy's words taken away with it.
        .filter(|name: &HeaderName| !says_whence(name))
        .collect();
    for name in listed {
        fields.remove(name);
    }
    for name in OF_THE_CONNECTION {
        fields.remove(name);
    }
    for name in [headers::TIMEOUT, headers::TENANT] {
        fields.remove(name);
    }
    if !open {
        fields.remove(header::AUTHORIZATION);
    }
}

fn says_whence(name: &HeaderName) -> bool {
    name == header::FORWARDED || name.as_str().starts_with("x-forwarded-")
}

fn response(answered: Answered, open: bool) -> Response {
    let mut response = match answered.outcome {
        Ok(response) => response.map(Body::new),
        Err(error) if open => problem(&error),
        Err(error) => problem(&for_a_visitor(&error)),
    };
    let id = invocation_id(answered.invocation);
    response.headers_mut().insert(headers::INVOCATION, id);
    response
}

/// What a client of a node with tokens is told when a handler failed: how its code broke is for those who may read the
/// history.
fn for_a_visitor(error: &EddyError) -> EddyError {
    let told = "the app did not answer this request; the record of the invocation says why";
    let told = EddyError::new(error.code, told);
    match error.retry_after {
        Some(after) => told.retry_after(after),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn seen(uri: &str) -> Result<(String, String, String), ErrorCode> {
        let uri: Uri = uri.parse().expect("a URI");
        let target = Target::of(&uri).map_err(|error| error.code)?;
        let authority = Authority::from_static("shop.example:81");
        let within = target.within(authority, Scheme::HTTPS);
        let within = within.map_err(|error| error.code)?;
        Ok((target.app.to_string(), target.prefix, within.to_string()))
    }

    #[test]
    fn an_app_sees_the_path_below_its_own() {
        let seen_at = |uri, prefix: &str, path: &str| {
            let whole = format!("https://shop.example:81{path}");
            let wanted = ("shop".to_owned(), prefix.to_owned(), whole);
            assert_eq!(seen(uri), Ok(wanted), "{uri}");
        };
        seen_at("/apps/shop", "/apps/shop", "/");
        seen_at("/apps/shop?a=b", "/apps/shop", "/?a=b");
        seen_at("/apps/shop/", "/apps/shop", "/");
        seen_at(
            "/apps/shop//x/%2F/../?a=%20&b",
            "/apps/shop",
            "//x/%2F/../?a=%20&b",
        );
        seen_at("http://a/apps/sh%6fp/x", "/apps/sh%6fp", "/x");
        for bad in ["/apps/%ff/x", "/apps/a%2Fb/x"] {
            assert_eq!(seen(bad), Err(ErrorCode::InvalidName), "{bad}");
        }
        assert_eq!(seen("/apps//x"), Err(ErrorCode::UnknownRoute));
    }

    #[test]
    fn a_host_has_no_user() {
        let whose = |uri: &'static str, host: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, HeaderValue::from_static(host));
            }
            let authority = authority(&Uri::from_static(uri), &headers);
            authority
                .map(|host| host.to_string())
                .map_err(|error| error.code)
        };
        let (bad, good) = (
            "evil.example:80@localhost",
            Ok("shop.example:81".to_owned()),
        );
        assert_eq!(whose("/", Some("shop.example:81")), good);
        assert_eq!(whose("http://shop.example:81/", None), good);
        assert_eq!(whose("/", Some(bad)), Err(ErrorCode::InvalidArgument));
        let uri = "http://evil.example:80@localhost/";
        assert_eq!(whose(uri, None), Err(ErrorCode::InvalidArgument));
    }

    #[test]
    fn what_is_the_connections_stays_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop, X-Forwarded-For, Forwarded"),
            ("x-hop", "1"),
            ("eddy-timeout", "5s"),
            ("eddy-tenant", "shop"),
            ("te", "trailers"),
            ("authorization", "Bearer secret"),
            ("x-own", "stays"),
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=203.0.113.7"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut open = headers.clone();
        remove_own(&mut headers, false);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["forwarded", "x-forwarded-for", "x-own"]);
        remove_own(&mut open, true);
        assert!(
            open.contains_key("authorization"),
            "it was not for the node"
        );
    }
}
