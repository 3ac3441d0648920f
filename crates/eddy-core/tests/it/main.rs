//! The core through its public seam: shards with a journal and a store in memory, driven by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod functions;
mod imports;
mod keys;
mod reads;
mod sends;
mod stopping;
mod support;
mod tenants;
mod timers;
mod turns;
