//! What holds for the SDK on the host: it stands alone, its bindings are current, and mistakes are explained.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod alone;
mod bindings;
mod mistakes;
