//! A whole node in this process.

mod deploys;
mod stopping;
mod support;
mod threads;
mod unavailable;
