//! Where a request came from, as an app is told: the `X-Forwarded-` headers. Whoever comes directly is not believed;
//! a proxy that the operator has put in front is.

use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// How a request came to the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The other end of the connection.
    pub(crate) peer: Option<IpAddr>,
    /// Over TLS.
    pub(crate) secure: bool,
    /// From a proxy, which says itself where requests come from.
    pub(crate) proxied: bool,
}

impl Arrival {
    /// What the connection itself was.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.secure {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        }
    }
}

/// Says where a request came from, for an app below `prefix` to make links with.
pub(crate) fn describe(
    headers: &mut HeaderMap,
    arrival: &Arrival,
    authority: &Authority,
    prefix: &str,
) {
    let mut said = |name: HeaderName| {
        let said = headers.remove(name);
        said.filter(|_| arrival.proxied)
    };
    let (before, host, proto) = (said(FOR), said(HOST), said(PROTO));
    let outer = said(PREFIX);
    if !arrival.proxied {
        headers.remove(FORWARDED);
    }
    let proto = proto.or_else(|| HeaderValue::from_str(arrival.scheme().as_str()).ok());
    let host = host.or_else(|| HeaderValue::from_str(authority.as_str()).ok());
    let outer = outer.as_ref().and_then(|outer| outer.to_str().ok());
    let outer = outer.unwrap_or_default().trim_end_matches('/');
    let prefix = HeaderValue::from_str(&format!("{outer}{prefix}")).ok();
    let peer = arrival.peer.map(|peer| peer.to_canonical().to_string());
    let before = before.as_ref().and_then(|before| before.to_str().ok());
    let chain: Vec<&str> = before.into_iter().chain(peer.as_deref()).collect();
    let chain = (!chain.is_empty()).then(|| HeaderValue::from_str(&chain.join(", ")).ok());
    let all = [
        (FOR, chain.flatten()),
        (HOST, host),
        (PREFIX, prefix),
        (PROTO, proto),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(proxied: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (FOR, "203.0.113.7"),
            (HOST, "shop.example"),
            (PREFIX, "/outer/"),
            (PROTO, "https"),
            (FORWARDED, "for=203.0.113.7"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let arrival = Arrival {
            peer: Some([127, 0, 0, 1].into()),
            secure: false,
            proxied,
        };
        let authority = Authority::from_static("localhost:7400");
        describe(&mut headers, &arrival, &authority, "/apps/shop");
        let lines = headers.iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn only_a_proxy_is_believed() {
        assert_eq!(
            described(false),
            [
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: localhost:7400",
                "x-forwarded-prefix: /apps/shop",
                "x-forwarded-proto: http",
            ]
        );
        assert_eq!(
            described(true),
            [
                "forwarded: for=203.0.113.7",
                "x-forwarded-for: 203.0.113.7, 127.0.0.1",
                "x-forwarded-host: shop.example",
                "x-forwarded-prefix: /outer/apps/shop",
                "x-forwarded-proto: https",
            ]
        );
    }
}
