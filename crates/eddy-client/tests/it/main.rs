//! The client against a server that answers as the tests want it to.
#![allow(clippy::disallowed_methods, reason = "a test starts tasks of its own")]

mod calls;
mod connections;
mod support;
