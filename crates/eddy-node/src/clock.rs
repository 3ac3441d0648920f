//! The node's clock, randomness and ids: the one place where they come from. In a process that
//! simulates, the clock is ahead of the system's; see `simulate.rs`.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where time and randomness enter Eddy"
)]

use eddy_core::MessageId;
use eddy_types::Timestamp;
use parking_lot::Mutex;
use rand::{Rng as _, RngExt as _};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How far the clock is ahead, in milliseconds.
static AHEAD: AtomicU64 = AtomicU64::new(0);
/// Told of each jump.
static JUMPED: LazyLock<watch::Sender<()>> = LazyLock::new(|| watch::Sender::new(()));
/// Until when sleepers sleep, and how many to each moment.
static SLEEPS: Mutex<BTreeMap<Timestamp, usize>> = Mutex::new(BTreeMap::new());

/// Wall-clock time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Timestamp(millis.saturating_add(AHEAD.load(Relaxed)))
}

/// Puts the clock forward to `at`, if it is not there yet.
pub(crate) fn jump(at: Timestamp) {
    let by = at.0.saturating_sub(now().0);
    if by > 0 {
        AHEAD.fetch_add(by, Relaxed);
        JUMPED.send_replace(());
    }
}

/// Sleeps until a moment of this clock.
pub(crate) async fn sleep_until(at: Timestamp) {
    let _slept = Slept::begin(at);
    let mut jumped = JUMPED.subscribe();
    loop {
        let left = at.since(now());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => return,
            _ = jumped.changed() => {}
        }
    }
}

/// When the next sleeper wakes.
pub(crate) fn next_sleep() -> Option<Timestamp> {
    SLEEPS.lock().keys().next().copied()
}

/// A sleeper, until dropped.
struct Slept(Timestamp);

impl Slept {
    fn begin(at: Timestamp) -> Self {
        *SLEEPS.lock().entry(at).or_default() += 1;
        Self(at)
    }
}

impl Drop for Slept {
    fn drop(&mut self) {
        let mut sleeps = SLEEPS.lock();
        if let Some(count) = sleeps.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                sleeps.remove(&self.0);
            }
        }
    }
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
