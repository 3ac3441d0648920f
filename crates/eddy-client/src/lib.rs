#![doc = include_str!("../README.md")]
//!
//! # What lives here
//!
//! Addresses, connecting again, trying again, and values as JSON. The protocol and the
//! connection itself are in `eddy-link`.

mod call;
mod client;
mod connect;
mod task;

pub use call::{Agent, Call, Function, Invocation, Reply};
pub use client::{Client, ClientBuilder};
pub use eddy_types::{EddyError, ErrorCode, GuestFailure};
