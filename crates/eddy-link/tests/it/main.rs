//! The link over real sockets: what its two sides promise each other and their users.
#![allow(clippy::disallowed_methods, reason = "a test starts tasks of its own")]

mod basic;
mod bounds;
mod codec;
mod credit;
mod ends;
mod flow;
mod hostile;
mod limits;
mod support;
mod tls;
mod wire;
