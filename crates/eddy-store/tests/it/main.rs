//! The store through its public seams.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod any;
mod listings;
mod model;
mod store;
