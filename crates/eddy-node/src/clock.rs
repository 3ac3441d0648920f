//! The node's clock, randomness and ids: the one place where they come from.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where time and randomness enter Eddy"
)]

use eddy_core::MessageId;
use eddy_types::Timestamp;
use rand::{Rng as _, RngExt as _};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// For measuring how long something took.
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// An id that was never used: time-ordered, so that listings are in order of arrival.
pub(crate) fn fresh_id() -> MessageId {
    // The thread's own generator: the system's costs a call into the kernel each time.
    let random: [u8; 10] = rand::rng().random();
    let id = uuid::Builder::from_unix_timestamp_millis(now().0, &random).into_uuid();
    MessageId(id.as_u128())
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    rand::rng().next_u64()
}

/// The runtime's moment of a wall-clock time.
pub(crate) fn deadline(at: Timestamp) -> tokio::time::Instant {
    tokio::time::Instant::now() + at.since(now())
}
