//! A whole node in this process.

mod bounds;
mod deploys;
mod stopping;
mod support;
mod tenants;
mod threads;
mod unavailable;
