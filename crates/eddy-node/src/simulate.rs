//! Simulated time, for tests of apps: a node whose clock can be put forward. What falls due on the
//! way happens at its own moment and in order, so that a timer that sets itself each hour fires
//! twenty-four times in a day.
//!
//! The clock is the process's, and so is what is noted here: at most one node of a process simulates.
//! Between two jumps the clock goes at its usual pace. Deadlines of turns are real time, so that a test that hangs ends.

use crate::clock;
use crate::effects::{Caller, spawned};
use crate::inner::Inner;
use crate::node::Node;
use bytes::Bytes;
use eddy_types::limits::MAX_TIMER_DELAY;
use eddy_types::{EddyError, ErrorCode, Timestamp};
use eddy_wasm::{Outcome, PendingFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// The function of a simulating node that advances its clock. Its argument is a time, as text
/// (`"1day"`) or in milliseconds; its result is the new time, in milliseconds.
pub(crate) const ADVANCE: &str = "__eddy_advance";

/// How far ahead shards hold timers in memory: a jump stops where they look for more.
pub(crate) const LOOK_AHEAD: Duration = Duration::from_secs(60 * 24 * 3600);
/// How long nothing must happen until a moment counts as over.
const CALM: Duration = Duration::from_millis(2);
/// The longest that one jump may take, in real time.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether a node of this process simulates.
static ON: AtomicBool = AtomicBool::new(false);
/// Decisions and slices of guests so far.
static EVENTS: AtomicU64 = AtomicU64::new(0);
/// Guests that compute, and requests to the outside under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// One jump at a time.
static JUMPING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// From now on it is noted what goes on.
pub(crate) fn begin() {
    ON.store(true, Relaxed);
}

/// Something was decided.
pub(crate) fn note() {
    if ON.load(Relaxed) {
        EVENTS.fetch_add(1, Relaxed);
    }
}

/// Something is under way while this lives.
pub(crate) struct UnderWay(());

impl UnderWay {
    /// Nothing, where nobody simulates.
    pub(crate) fn begin() -> Option<Self> {
        ON.load(Relaxed).then(|| {
            UNDER_WAY.fetch_add(1, Relaxed);
            Self(())
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        EVENTS.fetch_add(1, Relaxed);
        UNDER_WAY.fetch_sub(1, Relaxed);
    }
}

impl Node {
    /// Puts the clock of a simulating node forward, and lets everything that falls due until then
    /// happen. Answers with the new time.
    ///
    /// # Errors
    /// `invalid-argument` for a node that does not simulate, or too long a time; `deadline-exceeded`
    /// when so much falls due that it takes more than a minute.
    pub async fn advance(&self, by: Duration) -> Result<Timestamp, EddyError> {
        advance(&self.inner, by).await
    }
}

/// [`Node::advance`] as a function that guests and clients invoke.
pub(crate) fn effect(caller: &Caller, argument: &Bytes) -> Result<PendingFuture, EddyError> {
    let by = parse(argument)?;
    let inner = caller.inner.clone();
    Ok(spawned(&caller.inner, async move {
        let now = advance(&inner, by).await?;
        Ok(Outcome::Json(Bytes::from(now.0.to_string())))
    }))
}

/// The same for requests from outside.
pub(crate) async fn request(inner: &Arc<Inner>, argument: &Bytes) -> Result<Bytes, EddyError> {
    let now = advance(inner, parse(argument)?).await?;
    Ok(Bytes::from(now.0.to_string()))
}

fn parse(argument: &[u8]) -> Result<Duration, EddyError> {
    let bad = |why: String| {
        let detail = format!("a clock cannot be advanced by that: {why}");
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Give a time such as \"1day\" or \"2h 30m\", or milliseconds.")
    };
    let value: serde_json::Value =
        serde_json::from_slice(argument).map_err(|error| bad(error.to_string()))?;
    match &value {
        serde_json::Value::String(text) => {
            humantime::parse_duration(text).map_err(|error| bad(format!("{text:?}: {error}")))
        }
        value => match value.as_u64() {
            Some(millis) => Ok(Duration::from_millis(millis)),
            None => Err(bad(format!("{value} is neither"))),
        },
    }
}

async fn advance(inner: &Arc<Inner>, by: Duration) -> Result<Timestamp, EddyError> {
    let bad = |detail: String| EddyError::new(ErrorCode::InvalidArgument, detail);
    if !inner.config.simulated_time {
        return Err(bad("this node's clock is the system's".to_owned())
            .hint("`eddy test` runs a node whose clock can be advanced."));
    }
    if by > MAX_TIMER_DELAY {
        return Err(bad("a clock is advanced by ten years at most".to_owned()));
    }
    let _jumping = JUMPING.lock().await;
    let until = clock::now().plus(by);
    let give_up = Instant::now() + LONGEST;
    calm(inner, give_up).await?;
    loop {
        // What is due next, and not before now: the clock goes on by itself.
        let due = inner
            .shards
            .iter()
            .map(|shard| shard.lock().core.next_wake());
        let due = due.chain(clock::next_sleep()).min();
        let next = due.unwrap_or(until).min(until).max(clock::now());
        let before = EVENTS.load(Relaxed);
        clock::jump(next);
        inner.tick_all()?;
        // Looking for timers that come near is no news: a year has many such moments.
        let asleep = clock::next_sleep().is_none_or(|at| at > next);
        let quiet = EVENTS.load(Relaxed) == before && asleep;
        tracing::trace!(at = next.0, quiet, "the clock was put forward");
        if !quiet || next >= until {
            calm(inner, give_up).await?;
        }
        if next >= until {
            return Ok(clock::now());
        }
    }
}

/// Waits until what the moment brought has happened: nothing is decided, computed, committed or
/// fetched any more.
async fn calm(inner: &Inner, give_up: Instant) -> Result<(), EddyError> {
    loop {
        let before = EVENTS.load(Relaxed);
        if !is_busy(inner) {
            tokio::time::sleep(CALM).await;
            if !is_busy(inner) && EVENTS.load(Relaxed) == before {
                return Ok(());
            }
        } else {
            tokio::time::sleep(CALM / 2).await;
        }
        if Instant::now() > give_up {
            let at = clock::now().0;
            let detail = format!("the clock came to {at} ms, and there was always more to do");
            return Err(EddyError::new(ErrorCode::DeadlineExceeded, detail).hint(
                "Advance by less, or look for a timer that sets itself again and again at once.",
            ));
        }
    }
}

fn is_busy(inner: &Inner) -> bool {
    let now = clock::now();
    UNDER_WAY.load(Relaxed) > 0
        || inner.runners.waiting() > 0
        || clock::next_sleep().is_some_and(|at| at <= now)
        || inner.shards.iter().any(|shard| {
            let state = shard.lock();
            state.core.uncommitted() > 0 || state.core.next_wake() <= now
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_as_text_or_in_milliseconds() {
        let parsed = |text: &str| parse(text.as_bytes()).map(|time| time.as_millis());
        assert_eq!(parsed("\"1day\""), Ok(86_400_000));
        assert_eq!(parsed("\"2h 30m\""), Ok(9_000_000));
        assert_eq!(parsed("1500"), Ok(1500));
        for bad in ["null", "-1", "\"soon\"", "[]", "{"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
