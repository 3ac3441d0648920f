//! Durable timers of a shard: those due soon in memory, the rest in the store until their time
//! comes near. Memory does not grow with the number of timers set far ahead.

use crate::overlay::{Overlay, OverlayRead};
use crate::record::Timer;
use crate::view::{StoreView, TimerRow};
use eddy_types::{AgentId, EddyError, RetryPolicy, Seq, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How far ahead timers are held in memory, unless it is said otherwise.
const HORIZON: Duration = Duration::from_secs(600);
/// Rows read from the store at a time.
const PAGE: usize = 1024;

type At = (AgentId, String);

#[derive(Clone, Debug)]
struct Armed {
    timer: Timer,
    wake: Timestamp,
    attempts: u32,
}

/// What to do after a firing failed.
pub(crate) enum TimerVerdict {
    /// It fires again by itself.
    Again,
    /// It is given up after so many attempts.
    GiveUp(u32),
    /// It was replaced or cancelled meanwhile.
    Stale,
}

/// The timers of a shard.
#[derive(Debug)]
pub(crate) struct Timers {
    /// How far ahead they are held in memory.
    pub(crate) look_ahead: Duration,
    armed: BTreeMap<At, Armed>,
    wakes: BTreeSet<(Timestamp, AgentId, String)>,
    /// Every timer up to this moment is in `armed`.
    horizon: Timestamp,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            look_ahead: HORIZON,
            armed: BTreeMap::new(),
            wakes: BTreeSet::new(),
            horizon: Timestamp::default(),
        }
    }
}

impl Timers {
    /// Reads timers that come near from the store and the overlay.
    pub(crate) fn refill<V: StoreView + ?Sized>(
        &mut self,
        now: Timestamp,
        overlay: &Overlay,
        view: &V,
    ) -> Result<(), EddyError> {
        if now.plus(self.look_ahead / 2) < self.horizon {
            return Ok(());
        }
        let until = now.plus(self.look_ahead);
        let mut last: Option<TimerRow> = None;
        loop {
            let page = view.timers_until(until, last.as_ref(), PAGE)?;
            for row in &page {
                let known = overlay.timer(&row.agent, &row.name);
                if matches!(known, OverlayRead::Unknown) {
                    self.arm(row.agent.clone(), row.name.clone(), row.timer.clone());
                }
            }
            let more = page.len() == PAGE;
            last = page.into_iter().next_back();
            if !more {
                break;
            }
        }
        self.horizon = until;
        for (agent, name, timer) in overlay.timers() {
            if let Some(timer) = timer {
                self.set(agent.clone(), name.to_owned(), timer.clone());
            }
        }
        Ok(())
    }

    /// A timer was set or replaced.
    pub(crate) fn set(&mut self, agent: AgentId, name: String, timer: Timer) {
        if timer.at <= self.horizon {
            self.arm(agent, name, timer);
        } else {
            self.remove(&agent, &name);
        }
    }

    /// A timer was cancelled or has fired.
    pub(crate) fn remove(&mut self, agent: &AgentId, name: &str) {
        if let Some(armed) = self.armed.remove(&(agent.clone(), name.to_owned())) {
            self.wakes
                .remove(&(armed.wake, agent.clone(), name.to_owned()));
        }
    }

    /// All timers of a deleted agent are gone.
    pub(crate) fn remove_agent(&mut self, agent: &AgentId) {
        let start = (agent.clone(), String::new());
        let owned = self
            .armed
            .range(start..)
            .take_while(|((owner, _), _)| owner == agent);
        let names: Vec<_> = owned.map(|((_, name), _)| name.clone()).collect();
        for name in names {
            self.remove(agent, &name);
        }
    }

    /// Timers whose time has come; each is firing from now on.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<TimerRow> {
        let mut due = Vec::new();
        while let Some((wake, agent, name)) = self.wakes.first().cloned() {
            if wake > now {
                break;
            }
            self.wakes.pop_first();
            if let Some(armed) = self.armed.get(&(agent.clone(), name.clone())) {
                due.push(TimerRow {
                    agent,
                    name,
                    timer: armed.timer.clone(),
                });
            }
        }
        due
    }

    /// The next moment at which something is due or the horizon must move.
    pub(crate) fn next_wake(&self) -> Timestamp {
        let refill = Timestamp(
            self.horizon
                .0
                .saturating_sub((self.look_ahead / 2).as_millis() as u64),
        );
        self.wakes
            .first()
            .map_or(refill, |(wake, ..)| refill.min(*wake))
    }

    /// Whether this very timer is still the one of that name.
    pub(crate) fn is_current(&self, agent: &AgentId, name: &str, generation: Seq) -> bool {
        let armed = self.armed.get(&(agent.clone(), name.to_owned()));
        armed.is_some_and(|armed| armed.timer.generation == generation)
    }

    /// A firing failed; it pauses, or is given up.
    pub(crate) fn fail(
        &mut self,
        agent: &AgentId,
        name: &str,
        generation: Seq,
        retries: RetryPolicy,
        now: Timestamp,
    ) -> TimerVerdict {
        let Some(armed) = self.armed.get_mut(&(agent.clone(), name.to_owned())) else {
            return TimerVerdict::Stale;
        };
        if armed.timer.generation != generation {
            return TimerVerdict::Stale;
        }
        armed.attempts += 1;
        if armed.attempts >= retries.attempts {
            return TimerVerdict::GiveUp(armed.attempts);
        }
        let wake = now.plus(retries.pause_after(armed.attempts));
        self.rearm(agent, name, wake);
        TimerVerdict::Again
    }

    /// A firing found no room; it comes again soon and does not count.
    pub(crate) fn postpone(&mut self, agent: &AgentId, name: &str, until: Timestamp) {
        self.rearm(agent, name, until);
    }

    fn rearm(&mut self, agent: &AgentId, name: &str, wake: Timestamp) {
        let Some(armed) = self.armed.get_mut(&(agent.clone(), name.to_owned())) else {
            return;
        };
        self.wakes
            .remove(&(armed.wake, agent.clone(), name.to_owned()));
        armed.wake = wake;
        self.wakes.insert((wake, agent.clone(), name.to_owned()));
    }

    fn arm(&mut self, agent: AgentId, name: String, timer: Timer) {
        let at = (agent.clone(), name.clone());
        if let Some(old) = self.armed.get(&at) {
            if old.timer == timer {
                return; // already armed, perhaps firing
            }
            self.wakes.remove(&(old.wake, agent.clone(), name.clone()));
        }
        let wake = timer.at;
        self.wakes.insert((wake, agent, name));
        self.armed.insert(
            at,
            Armed {
                timer,
                wake,
                attempts: 0,
            },
        );
    }
}
