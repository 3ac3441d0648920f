//! What holds for the SDK on the host: its bindings are current, and mistakes are explained.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod bindings;
mod mistakes;
