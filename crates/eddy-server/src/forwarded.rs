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
    let before = said(headers, FOR, arrival.proxied);
    let last = |name| said(headers, name, arrival.proxied).pop();
    let (host, proto, outer) = (last(HOST), last(PROTO), last(PREFIX));
    for name in [FOR, HOST, PREFIX, PROTO] {
        headers.remove(name);
    }
    if !arrival.proxied {
        headers.remove(FORWARDED);
    }
    let proto = proto.or_else(|| HeaderValue::from_str(arrival.scheme().as_str()).ok());
    let host = host.or_else(|| HeaderValue::from_str(authority.as_str()).ok());
    let outer = outer.as_ref().and_then(outer_prefix).unwrap_or_default();
    let prefix = HeaderValue::from_str(&format!("{outer}{prefix}")).ok();
    let peer = arrival.peer.map(|peer| peer.to_canonical().to_string());
    let peer = peer.and_then(|peer| HeaderValue::from_str(&peer).ok());
    let chain: Vec<HeaderValue> = before.into_iter().chain(peer).collect();
    let chain: Vec<&[u8]> = chain.iter().map(HeaderValue::as_bytes).collect();
    let chain = (!chain.is_empty()).then(|| HeaderValue::from_bytes(&chain.join(&b", "[..])).ok());
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

/// What a proxy says in a header, line by line. A proxy may add a line to those that its own client sent: the last is its.
fn said(headers: &HeaderMap, name: HeaderName, proxied: bool) -> Vec<HeaderValue> {
    let lines = headers.get_all(name).into_iter();
    lines.filter(|_| proxied).cloned().collect()
}

/// A path in front of the node's own. What could be read as the name of another host is none.
fn outer_prefix(said: &HeaderValue) -> Option<&str> {
    let path = said.to_str().ok()?.trim_end_matches('/');
    let is_path = path.starts_with('/') && !path.contains("//") && !path.contains('\\');
    is_path.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: [(HeaderName, &[u8]); 5] = [
        (FOR, b"203.0.113.7"),
        (HOST, b"shop.example"),
        (PREFIX, b"/outer/"),
        (PROTO, b"https"),
        (FORWARDED, b"for=203.0.113.7"),
    ];

    /// What an app is told when these lines came, in this order.
    fn described(proxied: bool, said: &[(HeaderName, &[u8])]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            let value = HeaderValue::from_bytes(value).expect("a value");
            headers.append(name, value);
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
            .map(|(name, value)| format!("{name}: {}", value.as_bytes().escape_ascii()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn only_a_proxy_is_believed() {
        assert_eq!(
            described(false, &SAID),
            [
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: localhost:7400",
                "x-forwarded-prefix: /apps/shop",
                "x-forwarded-proto: http",
            ]
        );
        assert_eq!(
            described(true, &SAID),
            [
                "forwarded: for=203.0.113.7",
                "x-forwarded-for: 203.0.113.7, 127.0.0.1",
                "x-forwarded-host: shop.example",
                "x-forwarded-prefix: /outer/apps/shop",
                "x-forwarded-proto: https",
            ]
        );
    }

    #[test]
    fn of_several_lines_the_proxys_own_counts() {
        let spoofed: [(HeaderName, &[u8]); 4] = [
            (FOR, b"198.51.100.1, \xe9"),
            (HOST, b"evil.example"),
            (PREFIX, b"/evil"),
            (PROTO, b"http"),
        ];
        let lines = [&spoofed[..], &SAID[..]].concat();
        assert_eq!(
            described(true, &lines),
            [
                "forwarded: for=203.0.113.7",
                "x-forwarded-for: 198.51.100.1, \\xe9, 203.0.113.7, 127.0.0.1",
                "x-forwarded-host: shop.example",
                "x-forwarded-prefix: /outer/apps/shop",
                "x-forwarded-proto: https",
            ]
        );
        assert_eq!(described(false, &lines), described(false, &SAID));
    }

    #[test]
    fn a_prefix_is_a_path_of_this_host() {
        let prefix = |said| {
            let lines = described(true, &[(PREFIX, said)]);
            let line = lines.iter().find(|line| line.contains("prefix"));
            line.cloned().expect("there is always one")
        };
        assert_eq!(prefix(b"/a/b//"), "x-forwarded-prefix: /a/b/apps/shop");
        for bad in [
            b"//evil.example".as_slice(),
            b"/\\evil.example",
            b"/a//b",
            b"https://evil.example",
            b"",
        ] {
            assert_eq!(prefix(bad), "x-forwarded-prefix: /apps/shop");
        }
    }
}
