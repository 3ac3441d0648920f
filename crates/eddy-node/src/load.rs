//! How busy a target is, and whether one more request could be answered in time. By Little's law: so
//! many requests that wait, over so many answers a second, is how long the next one waits. A request
//! that would wait for longer than a quarter of the time it has is refused at once, when refusing is
//! cheap: late answers help nobody, and the work for them makes all others late, too. A quarter, because
//! some wait several times as long as most. Requests whose turn runs do not wait, so handlers that are
//! slow because others are (a `fetch`) are no crowd; but those that stand in line to go on computing wait as well.
//!
//! Each agent type and each function is looked at by itself: a slow one says nothing of a quick one.
//! Nothing is refused here while processors have time: then requests wait for one another at a single
//! agent, which has its own limit, and others of its type are free. What has no deadline is never
//! refused here either.

use eddy_types::limits::{ADMISSION_CROWD, ADMISSION_LINE, ADMISSION_SHARE};
use eddy_types::{EddyError, ErrorCode, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// How long answers are counted before their rate is taken, in milliseconds.
const WINDOW: u64 = 100;
/// After so many milliseconds without a look, what was counted says nothing any more.
const STALE: u64 = 1000;
/// Limits of what a client is told to wait.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What wants the processors of a node.
#[derive(Clone, Copy)]
pub(crate) struct Pressure {
    /// Turns and other work in line to begin.
    pub(crate) to_begin: usize,
    /// Guests that have begun, and stand in line to go on computing.
    pub(crate) to_go_on: usize,
}

impl Pressure {
    /// Whether so much waits that processors have no time for more.
    fn is_saturated(self) -> bool {
        self.to_begin + self.to_go_on >= ADMISSION_LINE
    }
}

/// What goes on at one target.
#[derive(Default)]
pub(crate) struct Load {
    under_way: AtomicUsize,
    /// Turns and runs, whoever asked for them.
    running: AtomicUsize,
    /// Answers since the window began.
    answered: AtomicU64,
    /// Milliseconds of a [`Timestamp`].
    window: AtomicU64,
    /// Answers in a second; 0 when it is not known.
    rate: AtomicU64,
}

/// A request under way, until dropped.
pub(crate) struct UnderWay(Arc<Load>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
        self.0.answered.fetch_add(1, Relaxed);
    }
}

/// A turn or a run of a function, until dropped.
pub(crate) struct Running(Arc<Load>);

impl Running {
    pub(crate) fn begin(load: &Arc<Load>) -> Self {
        load.running.fetch_add(1, Relaxed);
        Self(load.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

impl Load {
    /// Lets a request in.
    ///
    /// # Errors
    /// `overloaded` when it would wait for longer than a quarter of the time until its deadline.
    pub(crate) fn admit(
        self: &Arc<Self>,
        target: &str,
        now: Timestamp,
        deadline: Option<Timestamp>,
        pressure: impl FnOnce() -> Pressure,
    ) -> Result<UnderWay, EddyError> {
        let under_way = self.under_way.load(Relaxed);
        if under_way >= ADMISSION_CROWD {
            self.look(now.0);
            if let Some(deadline) = deadline {
                let pressure = pressure();
                let running = self.running.load(Relaxed);
                // All that stand in line to go on may be of this target.
                let waiting = under_way.saturating_sub(running) + running.min(pressure.to_go_on);
                if waiting >= ADMISSION_CROWD && pressure.is_saturated() {
                    self.in_time(target, waiting, deadline.since(now))?;
                }
            }
        }
        self.under_way.fetch_add(1, Relaxed);
        Ok(UnderWay(self.clone()))
    }

    fn in_time(&self, target: &str, waiting: usize, has: Duration) -> Result<(), EddyError> {
        let wait = self.wait_behind(waiting).unwrap_or_default();
        if wait <= has / ADMISSION_SHARE {
            return Ok(());
        }
        Err(EddyError::new(
            ErrorCode::Overloaded,
            format!(
                "requests to {target} wait for about {} ms now, and this one has {} ms in all",
                wait.as_millis(),
                has.as_millis()
            ),
        )
        .hint("Try again later, or give it more time.")
        .retry_after(wait.clamp(RETRY.0, RETRY.1)))
    }

    /// Takes the rate at the end of a window.
    fn look(&self, now: u64) {
        let began = self.window.load(Relaxed);
        let passed = now.saturating_sub(began);
        if passed < WINDOW {
            return;
        }
        // One looks; the others go on with what is known.
        let mine = self.window.compare_exchange(began, now, Relaxed, Relaxed);
        if mine.is_err() {
            return;
        }
        let rate = self.answered.swap(0, Relaxed) * 1000 / passed;
        let known = match self.rate.load(Relaxed) {
            _ if passed > STALE => 0,
            0 => rate.max(1),
            old => ((old + rate) / 2).max(1),
        };
        self.rate.store(known, Relaxed);
    }

    /// How long a request waits behind so many.
    fn wait_behind(&self, waiting: usize) -> Option<Duration> {
        let rate = self.rate.load(Relaxed);
        (rate > 0).then(|| Duration::from_millis(waiting as u64 * 1000 / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE: Pressure = Pressure {
        to_begin: 0,
        to_go_on: 0,
    };
    const SATURATED: Pressure = Pressure {
        to_begin: ADMISSION_LINE,
        to_go_on: 0,
    };

    /// A target that answers 100 requests each 100 ms, with `waiting` more under way.
    fn steady(waiting: usize) -> (Arc<Load>, Vec<UnderWay>, Timestamp) {
        let load = Arc::<Load>::default();
        let mut now = Timestamp(1_000_000);
        let enter = |now| {
            load.admit("x", now, None, || SATURATED)
                .expect("no deadline")
        };
        let all: Vec<_> = (0..waiting).map(|_| enter(now)).collect();
        for _ in 0..20 {
            now = now.plus(Duration::from_millis(WINDOW));
            (0..100).for_each(|_| drop(enter(now)));
        }
        (load, all, now)
    }

    #[test]
    fn who_would_be_answered_too_late_is_refused() {
        let (load, _all, now) = steady(400);
        // 400 under way at 1000 a second: 400 ms.
        let ask = |has: Duration| load.admit("x", now, Some(now.plus(has)), || SATURATED);
        assert!(ask(2 * SECOND).is_ok());
        let error = ask(SECOND).map(drop).expect_err("too late");
        assert_eq!(error.code, ErrorCode::Overloaded);
        assert!(error.detail.contains("has 1000 ms in all"), "{error:?}");
        assert!(error.retry_after.is_some());
        assert!(
            load.admit("x", now, None, || SATURATED).is_ok(),
            "no deadline"
        );
        let idle = load.admit("x", now, Some(now.plus(SECOND)), || IDLE);
        assert!(idle.is_ok(), "processors have time");
    }

    #[test]
    fn few_are_no_crowd() {
        let (load, _all, now) = steady(ADMISSION_CROWD - 2);
        let soon = now.plus(Duration::from_millis(1));
        assert!(load.admit("x", now, Some(soon), || SATURATED).is_ok());
    }

    #[test]
    fn handlers_that_run_for_long_are_no_crowd() {
        let (load, _all, now) = steady(400);
        let running: Vec<_> = (0..400).map(|_| Running::begin(&load)).collect();
        let ask = || load.admit("x", now, Some(now.plus(SECOND)), || SATURATED);
        assert!(ask().is_ok());
        drop(running);
        assert!(ask().is_err());
    }

    #[test]
    fn handlers_that_stand_in_line_to_go_on_wait() {
        let (load, _all, now) = steady(400);
        let _running: Vec<_> = (0..400).map(|_| Running::begin(&load)).collect();
        let ask = |to_go_on| {
            let pressure = Pressure {
                to_begin: 0,
                to_go_on,
            };
            load.admit("x", now, Some(now.plus(SECOND)), || pressure)
        };
        assert!(ask(200).is_ok(), "a fifth of a second");
        assert!(ask(390).is_err());
    }

    #[test]
    fn refusing_does_not_count_as_answering() {
        let (load, _all, mut now) = steady(1000);
        for _ in 0..20 {
            now = now.plus(Duration::from_millis(WINDOW));
            for _ in 0..1000 {
                let asked = load.admit("x", now, Some(now.plus(SECOND)), || SATURATED);
                assert!(asked.is_err());
            }
        }
        assert!(load.wait_behind(1000) > Some(SECOND), "nothing is answered");
    }

    #[test]
    fn what_was_long_ago_says_nothing() {
        let (load, _all, now) = steady(1000);
        let later = now.plus(SECOND * 60);
        let asked = load.admit("x", later, Some(later.plus(SECOND)), || SATURATED);
        assert!(asked.is_ok());
    }
}
