//! A whole node in this process.

mod deploys;
mod support;
mod threads;
mod unavailable;
