//! What a tenant lets its apps reach, whatever their manifests list. Asked for at each request, so
//! that a change counts at once.

use super::allows;
use super::resolve::is_near;
use crate::access::Account;
use eddy_types::manifest::Host;
use eddy_types::{Capabilities, EddyError, ErrorCode};
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// See [`Account::grant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// What the manifest says.
    Everything,
    /// Names and addresses of the public internet.
    Public,
    /// What an operator listed.
    Listed(Vec<Host>),
}

impl Account {
    /// What its apps may reach: the default tenant everything, until an operator lists hosts for it;
    /// others what is listed, or the public internet.
    pub(crate) fn grant(&self) -> Grant {
        match &self.spec().hosts {
            Some(hosts) => Grant::Listed(hosts.clone()),
            None if self.is_default() => Grant::Everything,
            None => Grant::Public,
        }
    }
}

impl Grant {
    /// Whether a request may go to `url`, as far as its text tells.
    pub(super) fn covers(&self, url: &Url) -> bool {
        match self {
            Self::Everything => true,
            Self::Listed(hosts) => {
                let hosts = hosts.iter().map(|host| host.as_str().to_owned());
                let listed = Capabilities {
                    hosts: hosts.collect(),
                };
                allows(&listed, url)
            }
            Self::Public => match url.host() {
                Some(url::Host::Domain(name)) => !is_this_machine(name),
                Some(url::Host::Ipv4(address)) => is_public(address.into()),
                Some(url::Host::Ipv6(address)) => is_public(address.into()),
                None => false,
            },
        }
    }

    /// Whether a name may stand for `address`.
    pub(super) fn may_mean(&self, address: IpAddr) -> bool {
        match self {
            Self::Everything => !is_near(address),
            Self::Public => is_public(address),
            // Who owns a listed name decides where it points: what is not public is listed itself.
            Self::Listed(hosts) => {
                let text = address.to_canonical().to_string();
                let named = |host: &Host| host.as_str().split(':').next() == Some(text.as_str());
                is_public(address) || hosts.iter().any(named)
            }
        }
    }

    /// Whether a manifest may list `host`.
    pub(crate) fn permits(&self, host: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Listed(hosts) => hosts.iter().any(|granted| spans(granted.as_str(), host)),
            Self::Public => {
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                let address = name.parse::<IpAddr>();
                address.map_or_else(|_| !is_this_machine(name), is_public)
            }
        }
    }

    /// `capability-denied` for the first host that the tenant does not grant.
    pub(crate) fn check<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), EddyError> {
        match hosts.into_iter().find(|host| !self.permits(host)) {
            Some(host) => Err(not_granted(host)),
            None => Ok(()),
        }
    }
}

/// Whether everything that `host` stands for in a manifest is also meant by `granted`.
fn spans(granted: &str, host: &str) -> bool {
    let parts = |text: &str| {
        let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
        (name.to_owned(), port.to_owned())
    };
    let ((granted, granted_port), (host, port)) = (parts(granted), parts(host));
    let name_fits = match granted.strip_prefix('*') {
        // `.example.com`: a name below it, or a pattern of such names.
        Some(below) => host.ends_with(below) && host.parse::<IpAddr>().is_err(),
        None => host == granted,
    };
    name_fits && port == granted_port
}

pub(super) fn not_granted(host: &str) -> EddyError {
    EddyError::new(
        ErrorCode::CapabilityDenied,
        format!("the tenant does not let its apps reach {host}"),
    )
    .hint("Ask the operator of the node to add it: `eddy tenant set NAME --hosts HOST,...`.")
}

/// `localhost` and names below it (RFC 6761).
pub(super) fn is_this_machine(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let top = bare.rsplit('.').next().unwrap_or_default();
    top.eq_ignore_ascii_case("localhost")
}

/// Whether an address is one of the public internet, by IANA's registries of special ones
/// (RFC 6890 and what amends it). In doubt it is none.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let private = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation();
    let set_aside = match (a, b, c) {
        (0, ..) | (192, 0, 0) | (192, 88, 99) => true,
        (100, ..) => (64..128).contains(&b),
        (198, ..) => b == 18 || b == 19,
        // Multicast, reserved, broadcast.
        _ => a >= 224,
    };
    !private && !set_aside
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3. Within it, these carry an IPv4 address or are set aside.
    let global = first & 0xe000 == 0x2000;
    let special = match first {
        0x2001 => second < 0x0200 || second == 0x0db8,
        0x2002 => true,
        0x3fff => second < 0x1000,
        _ => false,
    };
    global && !special
}

/// What an app may reach: what its manifest lists and its tenant grants.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(super) capabilities: Capabilities,
    pub(super) account: Arc<Account>,
}

impl Reach {
    pub(crate) fn new(capabilities: Capabilities, account: Arc<Account>) -> Self {
        Self {
            capabilities,
            account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(hosts: &[&str]) -> Grant {
        let json = serde_json::to_value(hosts).expect("plain");
        Grant::Listed(serde_json::from_value(json).expect("hosts"))
    }

    #[test]
    fn public_is_neither_this_machine_nor_a_private_network() {
        let covers = |url: &str| Grant::Public.covers(&Url::parse(url).expect("a URL"));
        for good in [
            "https://api.example/",
            "http://9.9.9.9:81/",
            "http://[2620:fe::fe]/",
        ] {
            assert!(covers(good), "{good}");
        }
        for bad in [
            "http://localhost/",
            "http://a.localhost:80/",
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.0.1/",
            "http://100.64.0.1/",
            "http://169.254.169.254/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::a00:1]/",
            "http://[2002:a00:1::]/",
            "http://[2001:0:1::]/",
        ] {
            assert!(!covers(bad), "{bad}");
        }
        assert!(!Grant::Public.may_mean("10.0.0.1".parse().expect("an address")));
        assert!(Grant::Everything.may_mean("10.0.0.1".parse().expect("an address")));
        let listed = listed(&["db.example", "10.0.0.1:5432"]);
        for (address, may) in [("10.0.0.1", true), ("10.0.0.2", false), ("9.9.9.9", true)] {
            let address = address.parse().expect("an address");
            assert_eq!(listed.may_mean(address), may, "{address}");
        }
    }

    #[test]
    fn a_manifest_lists_no_more_than_is_granted() {
        let grant = listed(&["api.example", "*.wild.example", "db.local:5432"]);
        for good in [
            "api.example",
            "a.wild.example",
            "*.wild.example",
            "*.b.wild.example",
            "db.local:5432",
        ] {
            assert!(grant.permits(good), "{good}");
        }
        for bad in [
            "api.example:8080",
            "wild.example",
            "evilwild.example",
            "db.local",
            "*.example",
            "localhost",
        ] {
            assert!(!grant.permits(bad), "{bad}");
        }
        let public = Grant::Public;
        assert!(public.permits("api.example:8443") && public.permits("*.example"));
        for bad in ["localhost:3000", "10.0.0.1", "127.0.0.1:80", "*.localhost"] {
            assert!(!public.permits(bad), "{bad}");
        }
        assert!(Grant::Everything.permits("localhost:3000"));
    }
}
