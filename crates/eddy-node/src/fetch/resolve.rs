//! Names of outbound requests become addresses here, and those of this machine and its link are
//! refused: whoever owns an allowed name could otherwise point it at what listens on the node's
//! own machine, or at the metadata service of a cloud. An app that means such an address lists it:
//! addresses and `localhost` in the manifest say what they are.

use super::grant::{Grant, is_this_machine};
use crate::access::Account;
use crate::tasks;
use eddy_types::{EddyError, ErrorCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Resolves names to addresses that they may stand for. Never asked for an address.
pub(super) struct Guarded {
    account: Arc<Account>,
    /// Blocks.
    lookup: Lookup,
}

impl Guarded {
    /// What the apps of a tenant get.
    pub(super) fn of(account: Arc<Account>) -> Self {
        // The client puts the port in.
        let lookup = |name: &str| Ok((name, 0).to_socket_addrs()?.collect());
        Self {
            account,
            lookup: Arc::new(lookup),
        }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let (account, lookup) = (self.account.clone(), self.lookup.clone());
        Box::pin(async move {
            let found = look_up(&account, lookup, name.clone()).await;
            let grant = account.grant();
            let found = match found {
                // That there is no such name is not told apart from a private one.
                Err(_) if grant != Grant::Everything => {
                    return Err(Refused {
                        name,
                        address: None,
                    }
                    .into());
                }
                found => found?,
            };
            let addresses = permitted(&name, found, &grant)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Looks a name up on a thread for blocking work. It cannot be stopped there: so it keeps its place until it is done, also
/// when nobody waits for it any more.
async fn look_up(account: &Account, lookup: Lookup, name: String) -> io::Result<Vec<SocketAddr>> {
    let place = account.places.lookup().await.map_err(io::Error::other)?;
    let looked = tasks::blocking(move || {
        let _place = place;
        lookup(&name)
    });
    looked.await.map_err(io::Error::other)?
}

/// The addresses that a request for `name`, which is allowed, may go to.
fn permitted(
    name: &str,
    found: Vec<SocketAddr>,
    grant: &Grant,
) -> Result<Vec<SocketAddr>, Refused> {
    // Who lists such a name means this machine.
    if is_this_machine(name) {
        return Ok(found);
    }
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| grant.may_mean(at.ip()));
    match bad.first() {
        Some(at) if good.is_empty() => Err(Refused {
            name: name.to_owned(),
            address: (*grant == Grant::Everything).then(|| at.ip()),
        }),
        _ => Ok(good),
    }
}

/// Loopback, link-local and unspecified addresses: this machine, and what is next to it.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

/// A name has none but refused addresses.
#[derive(Debug)]
pub(super) struct Refused {
    name: String,
    /// Not told to who may not know what names stand for in the node's own network.
    address: Option<IpAddr>,
}

impl Refused {
    pub(super) fn error(&self) -> EddyError {
        let hint = match self.address {
            Some(address) => format!(
                "If that is meant, add \"{address}\" to `hosts` under `[capabilities]` in eddy.toml and \
                 fetch from the address."
            ),
            None => "Check the name; an operator lets a tenant reach an address of a private network by \
                     listing it: `eddy tenant set NAME --hosts HOST,ADDRESS`."
                .to_owned(),
        };
        EddyError::new(ErrorCode::CapabilityDenied, self.to_string()).hint(hint)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address } = self;
        match address {
            Some(address) => write!(
                f,
                "{name} resolves to {address}, an address of this machine or its link"
            ),
            None => write!(f, "{name} resolves to no address that the tenant may reach"),
        }
    }
}

impl std::error::Error for Refused {}

/// Answers every name with this machine's address.
#[cfg(test)]
pub(super) fn rebound(account: Arc<Account>) -> Guarded {
    Guarded {
        account,
        lookup: Arc::new(|_| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::limits::MAX_LOOKUPS_PER_TENANT;
    use eddy_types::{TenantId, TenantSpec};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    /// A name server that does not answer until it is let.
    #[derive(Default)]
    struct Slow {
        asked: AtomicUsize,
        most: AtomicUsize,
        may_answer: AtomicBool,
    }

    impl Slow {
        fn answer(&self) -> io::Result<Vec<SocketAddr>> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(asked, Ordering::SeqCst);
            while !self.may_answer.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.asked.fetch_sub(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([9, 9, 9, 9], 0))])
        }
    }

    #[tokio::test]
    async fn look_ups_that_nobody_waits_for_any_more_keep_their_threads_and_their_places() {
        let slow = Arc::new(Slow::default());
        let tenant = TenantId::new("own").expect("a tenant");
        let account = Account::new(tenant, TenantSpec::default());
        let asked = slow.clone();
        let names = Guarded {
            account,
            lookup: Arc::new(move |_| asked.answer()),
        };
        let look_up = || names.resolve("slow.example".parse().expect("a name"));
        let mut given_up: Vec<_> = (0..100).map(|_| look_up()).collect();
        while slow.asked.load(Ordering::SeqCst) < MAX_LOOKUPS_PER_TENANT {
            given_up.iter_mut().for_each(|one| {
                assert!(
                    futures::FutureExt::now_or_never(one).is_none(),
                    "it is slow"
                );
            });
            tokio::task::yield_now().await;
        }
        drop(given_up);
        let mut waiting: Vec<_> = (0..100).map(|_| look_up()).collect();
        for one in &mut waiting {
            assert!(futures::FutureExt::now_or_never(one).is_none());
        }
        slow.may_answer.store(true, Ordering::SeqCst);
        for found in futures::future::join_all(waiting).await {
            assert!(found.is_ok_and(|mut found| found.next().is_some()));
        }
        let most = slow.most.load(Ordering::SeqCst);
        assert_eq!(most, MAX_LOOKUPS_PER_TENANT);
    }

    fn of(name: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
        let found = addresses.iter().map(|text| {
            let ip: IpAddr = text.parse().expect("an address");
            SocketAddr::new(ip, 0)
        });
        let permitted = permitted(name, found.collect(), &Grant::Everything);
        let texts = |found: Vec<SocketAddr>| found.iter().map(|at| at.ip().to_string()).collect();
        permitted.map(texts).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_name_stands_for_no_address_of_this_machine_or_its_link() {
        for near in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(of("api.example", &[near]).is_err(), "{near}");
            assert!(of("localhost.example", &[near]).is_err(), "{near}");
            assert_eq!(
                of("api.example", &[near, "9.9.9.9"]),
                Ok(vec!["9.9.9.9".into()])
            );
        }
        for far in [
            "9.9.9.9",
            "10.0.0.1",
            "192.168.1.1",
            "fd00::1",
            "2620:fe::fe",
        ] {
            assert_eq!(of("api.example", &[far]), Ok(vec![far.to_owned()]));
        }
        assert_eq!(of("nobody.example", &[]), Ok(Vec::new()));
    }

    #[test]
    fn the_public_internet_has_no_private_networks() {
        let of = |text: &str| {
            let at = SocketAddr::new(text.parse().expect("an address"), 0);
            permitted("api.example", vec![at], &Grant::Public).is_ok()
        };
        assert!(of("9.9.9.9"));
        for private in ["10.0.0.1", "192.168.1.1", "fd00::1", "127.0.0.1"] {
            assert!(!of(private), "{private}");
        }
    }

    #[test]
    fn localhost_is_what_it_says() {
        for name in ["localhost", "LOCALHOST", "shop.localhost", "localhost."] {
            assert_eq!(of(name, &["127.0.0.1"]), Ok(vec!["127.0.0.1".to_owned()]));
        }
    }
}
