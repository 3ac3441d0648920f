//! The server over real sockets, and its description. What needs code to run is tested with the
//! binary (crates/eddy/tests) and with the node.

mod access;
mod apps;
mod greeting;
mod metrics;
mod openapi;
mod serving;
mod tls;
mod wire;
