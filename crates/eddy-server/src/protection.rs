//! On which addresses a node may listen, by what protects it.

use eddy_types::{EddyError, ErrorCode};
use std::net::SocketAddr;

/// What protects a node from who can reach it.
#[derive(Clone, Copy, Debug)]
pub struct Protection {
    /// Requests need a token.
    pub tokens: bool,
    /// Connections are encrypted, by the node or, as its operator says, by a proxy in front of it.
    pub encrypted: bool,
}

/// `insecure-listen` for an address that other machines can reach, without tokens or in plain text.
pub fn check_listen(address: SocketAddr, protection: Protection) -> Result<(), EddyError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let refused = |why: &str, hint: &str| {
        let detail = format!("{address} can be reached from other machines, and {why}");
        Err(EddyError::new(ErrorCode::InsecureListen, detail).hint(hint))
    };
    if !protection.tokens {
        return refused(
            "the node has no tokens: it would trust whoever comes",
            "Make an operator's token first: `eddy token create --role operator --data DIR`.",
        );
    }
    if !protection.encrypted {
        return refused(
            "tokens would go over the network in plain text",
            "Give --tls-cert and --tls-key, or --plain-http when a proxy in front adds TLS.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_get_in_with_tokens_over_tls_only() {
        let check = |address: &str, tokens, encrypted| {
            let address = address.parse().expect("an address");
            check_listen(address, Protection { tokens, encrypted }).map_err(|error| error.code)
        };
        for near in [
            "127.0.0.1:0",
            "127.9.9.9:1",
            "[::1]:7400",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(check(near, false, false), Ok(()), "{near}");
        }
        for far in [
            "0.0.0.0:7400",
            "10.0.0.1:1",
            "[::]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            for (tokens, encrypted) in [(false, false), (false, true), (true, false)] {
                let refused = check(far, tokens, encrypted);
                assert_eq!(refused, Err(ErrorCode::InsecureListen), "{far}");
            }
            assert_eq!(check(far, true, true), Ok(()), "{far}");
        }
    }
}
