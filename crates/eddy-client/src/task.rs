//! The one task that this library starts: a connection's own.
#![allow(
    clippy::disallowed_methods,
    reason = "a client is at the edge: nobody else can run its connection"
)]

use eddy_link::Linking;

/// Runs a connection until it ends. Its users hear how, so nobody needs its result.
pub(crate) fn run(connection: Linking) {
    tokio::spawn(connection);
}
