//! Keeps web pages of other sites away from a node that trusts whoever is on its machine.
//!
//! A browser names the page that sends a request in `Origin`, but not when the page asks its own
//! site for something. A site can make its name point at this machine afterwards (DNS rebinding),
//! and the node is then "its own site". Only the name in `Host` gives that away.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use eddy_types::{EddyError, ErrorCode};
use std::net::IpAddr;

/// `cross-origin` unless the request is addressed to this machine and from no page of elsewhere.
/// A request without any of the names is let in: every browser sends `Host`.
pub(crate) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), EddyError> {
    if let Some(authority) = uri.authority()
        && !is_local(authority)
    {
        return Err(foreign_host(authority.as_str()));
    }
    for host in headers.get_all(header::HOST) {
        if !parsed(host).is_some_and(|host| is_local(&host)) {
            return Err(foreign_host(&shown(host)));
        }
    }
    for origin in headers.get_all(header::ORIGIN) {
        let page = origin.to_str().ok().and_then(|text| text.parse().ok());
        let page = page.and_then(|page: Uri| page.into_parts().authority);
        if !page.is_some_and(|page| is_local(&page)) {
            return Err(foreign_page(&shown(origin)));
        }
    }
    Ok(())
}

/// `localhost`, a name below it, or a loopback address; any port. Not with a user in front: programs that split at the `:`
/// would read another name.
fn is_local(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let top = name.rsplit('.').next().unwrap_or_default();
    top.eq_ignore_ascii_case("localhost")
}

fn parsed(host: &HeaderValue) -> Option<Authority> {
    host.to_str().ok()?.parse().ok()
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn foreign_host(host: &str) -> EddyError {
    EddyError::new(
        ErrorCode::CrossOrigin,
        format!("the request is for the host {host:?}, which is not a name of this machine"),
    )
    .hint(
        "Use http://127.0.0.1 or http://localhost; a proxy in front sets the header Host to localhost.",
    )
}

fn foreign_page(origin: &str) -> EddyError {
    EddyError::new(
        ErrorCode::CrossOrigin,
        format!("a page of {origin:?} may not use a node that has no authentication"),
    )
    .hint("Call the node from your own server, or from a page served by this machine.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, name: header::HeaderName, values: &[&str]) -> Result<(), EddyError> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            headers.append(name.clone(), value);
        }
        check(&uri.parse().expect("a URI"), &headers)
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for good in [
            "http://localhost:3000",
            "http://127.0.0.1",
            "https://[::1]:8443",
            "http://shop.localhost:5173",
        ] {
            assert_eq!(of("/v1/apps", header::ORIGIN, &[good]), Ok(()), "{good}");
        }
        for bad in [
            "https://example.com",
            "null",
            "",
            "http://localhost.example.com",
        ] {
            let error = of("/v1/apps", header::ORIGIN, &[bad]).expect_err(bad);
            assert_eq!(error.code, ErrorCode::CrossOrigin);
        }
    }

    #[test]
    fn only_names_of_this_machine_are_served() {
        for good in [
            "localhost",
            "LocalHost:7400",
            "localhost.",
            "a.b.localhost:1",
            "127.0.0.1:7400",
            "127.8.8.8",
            "[::1]",
            "[::1]:7400",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(of("/", header::HOST, &[good]), Ok(()), "{good}");
            let uri = format!("http://{good}/v1/apps");
            assert_eq!(of(&uri, header::HOST, &[]), Ok(()), "{uri}");
        }
        for bad in [
            "rebound.example:7400",
            "localhost.example",
            "notlocalhost",
            "127.0.0.1.example",
            "10.0.0.1",
            "[::]:7400",
            "",
            "local host",
            "rebound.example:80@localhost",
            "\u{e4}.localhost",
        ] {
            let error = of("/", header::HOST, &[bad]).expect_err(bad);
            assert_eq!(error.code, ErrorCode::CrossOrigin, "{bad}");
        }
        assert!(of("http://rebound.example/", header::HOST, &["localhost"]).is_err());
        assert!(of("/", header::HOST, &["localhost", "rebound.example"]).is_err());
    }

    #[test]
    fn a_request_that_names_nobody_comes_from_no_browser() {
        assert_eq!(of("/v1/apps", header::HOST, &[]), Ok(()));
    }
}
