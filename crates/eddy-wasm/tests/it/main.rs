//! Guests through the public interface of the crate, with guests/bench-guest as the guest.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start the thread that ticks the engine"
)]

mod assets;
mod cache;
mod compile;
mod effects;
mod faults;
mod isolation;
mod javascript;
mod parts;
mod support;
mod turns;
