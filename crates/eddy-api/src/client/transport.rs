//! Requests out, answers in: addresses, connections, and telling the node's errors from the network's.

use super::{Answer, Client, Credentials};
use crate::headers;
use crate::problem::{PROBLEM_JSON, Problem};
use eddy_types::{EddyError, ErrorCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::time::Duration;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Time to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn base_url(text: &str) -> Result<Url, EddyError> {
    let bad = |why: &str| {
        EddyError::new(
            ErrorCode::InvalidArgument,
            format!("{text:?} is not the URL of a node: {why}"),
        )
        .hint("Write it as http://127.0.0.1:7400.")
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(bad("it must begin with http:// or https://")),
    }
}

pub(super) fn http_client(
    base: &Url,
    credentials: &Credentials,
) -> Result<reqwest::Client, EddyError> {
    // Another part of the process may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .default_headers(who(base, credentials)?)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(roots) = &credentials.roots {
        builder = builder.tls_certs_only(certificates(roots)?);
    }
    if is_loopback(base) {
        // A proxy cannot know what listens on this machine.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        EddyError::internal(format!(
            "the HTTP client cannot be set up: {}",
            whole(&error)
        ))
    })
}

/// The headers that say who asks.
fn who(base: &Url, credentials: &Credentials) -> Result<HeaderMap, EddyError> {
    let bad = |detail: &str| EddyError::new(ErrorCode::InvalidArgument, detail);
    let mut all = HeaderMap::new();
    if let Some(token) = &credentials.token {
        if base.scheme() == "http" && !is_loopback(base) {
            let detail = format!("the token would go to {base} in plain text");
            return Err(bad(&detail).hint("Use an https:// address."));
        }
        // What is wrong with it is not shown: it is a secret.
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| bad("the token has characters that no token has"))?;
        value.set_sensitive(true);
        all.insert(AUTHORIZATION, value);
    }
    if let Some(tenant) = &credentials.tenant {
        let value = HeaderValue::try_from(tenant);
        let value = value.map_err(|_| bad(&format!("{tenant:?} is not the name of a tenant")))?;
        all.insert(headers::TENANT, value);
    }
    Ok(all)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, EddyError> {
    let bad = |why: &str| {
        let detail = format!("the certificates to trust cannot be used: {why}");
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Give PEM text: -----BEGIN CERTIFICATE----- and so on.")
    };
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(bad("there is none in the PEM text")),
        Err(error) => Err(bad(&whole(&error))),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

impl Client {
    /// A request to `/v1/` and the segments, each percent-encoded.
    pub(super) fn request(
        &self,
        method: Method,
        segments: &[&str],
    ) -> Result<RequestBuilder, EddyError> {
        let mut path = String::from("/v1");
        for segment in segments {
            // URL libraries take these for steps up or down the path, even when encoded.
            if matches!(*segment, "" | "." | "..") {
                return Err(EddyError::new(
                    ErrorCode::InvalidName,
                    format!("{segment:?} cannot be part of an address"),
                )
                .hint("Use a name or key other than \"\", \".\" and \"..\"."));
            }
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let mut url = self.base.clone();
        url.set_path(&(url.path().trim_end_matches('/').to_owned() + &path));
        Ok(self.http.request(method, url))
    }

    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Answer, EddyError> {
        let response = self.send(request).await?;
        let invocation = response.headers().get(headers::INVOCATION);
        let invocation = invocation
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned);
        let result = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Ok(Answer { invocation, result })
    }

    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, EddyError> {
        let body = self.answer(request).await?.result;
        serde_json::from_slice(&body).map_err(|error| self.foreign(&error.to_string()))
    }

    pub(super) async fn done(&self, request: RequestBuilder) -> Result<(), EddyError> {
        self.answer(request).await.map(drop)
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, EddyError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let media = response
            .headers()
            .get("content-type")
            .and_then(|text| text.to_str().ok());
        if !media.is_some_and(|media| media.starts_with(PROBLEM_JSON)) {
            return Err(self.foreign(&format!("it answered {status} without a problem document")));
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(error) => Err(self.foreign(&error.to_string())),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> EddyError {
        let lost = self.no_answer(&whole(error));
        if is_distrusted(error) {
            return lost.hint("Give the certificate that signed the node's with --tls-ca or EDDY_TLS_CA, and use a name that the node's is for.");
        }
        lost
    }

    /// `node-unreachable`: no answer came from this client's node, and why.
    #[must_use]
    pub fn no_answer(&self, why: &str) -> EddyError {
        let base = &self.base;
        EddyError::new(
            ErrorCode::NodeUnreachable,
            format!("no answer from {base}: {why}"),
        )
        .hint("Start a node with `eddy up`, or point --url or EDDY_URL at a running one.")
    }

    fn foreign(&self, why: &str) -> EddyError {
        let base = &self.base;
        EddyError::new(
            ErrorCode::NodeUnreachable,
            format!("what answers at {base} does not speak Eddy's API: {why}"),
        )
        .hint("Check the URL: another program may listen there, or a newer version of Eddy.")
    }
}

/// Whether the other side's certificate is why there is no connection.
fn is_distrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error does not name the error in it as its source, but that one's source.
    let io = error.downcast_ref::<std::io::Error>();
    match io.and_then(std::io::Error::get_ref) {
        Some(inner) => is_distrusted(inner),
        None => error.source().is_some_and(is_distrusted),
    }
}

/// An error with its causes: reqwest's own text leaves them out. The URL is told apart.
fn whole(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Each layer tends to repeat the next one's text.
        text = inner.to_string();
        cause = inner.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_one_segment() {
        let client = Client::new("http://127.0.0.1:1/base/").expect("a good URL");
        let request = client.request(Method::GET, &["agents", "cart", "a/b?c=%2F ä"]);
        let url = request
            .expect("a good path")
            .build()
            .expect("a good request")
            .url()
            .to_string();
        assert_eq!(
            url,
            "http://127.0.0.1:1/base/v1/agents/cart/a%2Fb%3Fc%3D%252F%20%C3%A4"
        );
    }

    #[test]
    fn addresses_that_cannot_travel_are_refused() {
        let client = Client::new("http://localhost:1").expect("a good URL");
        for bad in ["", ".", ".."] {
            assert!(
                client
                    .request(Method::GET, &["agents", "cart", bad])
                    .is_err(),
                "{bad:?}"
            );
        }
        for bad in ["localhost:7400", "ftp://x", "http://", "x"] {
            assert!(Client::new(bad).is_err(), "{bad:?}");
        }
    }
}
