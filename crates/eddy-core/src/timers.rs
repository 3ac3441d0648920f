//! Durable timers of a shard: those due soon in memory, the rest in the store until their time
//! comes near. Memory does not grow with the number of timers set far ahead, nor with what they
//! carry: method and argument stay where they are until a timer fires.

use crate::overlay::{Overlay, OverlayRead};
use crate::record::Timer;
use crate::share::{Amount, Held};
use crate::view::{StoreView, TimerRow};
use eddy_types::limits::{MAX_SHARD_MAILBOX, MAX_WAITING_BYTES};
use eddy_types::{AgentId, EddyError, RetryPolicy, Seq, TenantId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How far ahead timers are held in memory, unless it is said otherwise.
const HORIZON: Duration = Duration::from_secs(600);
/// Rows read from the store at a time.
const PAGE: usize = 1024;
/// Timers whose time is found to have come in one step. The rest is for the next one.
const DUE_AT_ONCE: usize = 16_384;
/// What of one tenant fires in one step: its arguments are read within it. The last may go beyond.
const FIRES_AT_ONCE: Amount = Amount {
    entries: 1024,
    bytes: 4 << 20,
};
/// What of one tenant alone may fire at a time.
const MOST_FIRING: Amount = Amount {
    entries: MAX_SHARD_MAILBOX,
    bytes: MAX_WAITING_BYTES,
};

type At = (AgentId, Arc<str>);
/// Timers of several agents, in the order of their time.
type ByTime = BTreeSet<(Timestamp, AgentId, Arc<str>)>;

#[derive(Clone, Debug)]
struct Armed {
    at: Timestamp,
    generation: Seq,
    /// Of its argument.
    bytes: usize,
    attempts: u32,
    place: Place,
}

/// Where an armed timer is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In `wakes`, until then.
    Sleeps(Timestamp),
    /// In `due` since then: it fires when its tenant has room.
    Due(Timestamp),
    /// With its agent, counted in `firing`.
    Fires,
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
    wakes: ByTime,
    due: BTreeMap<TenantId, ByTime>,
    /// Those that fire, and their arguments, which are in memory then.
    firing: Held,
    /// Every timer up to this moment is in `armed`.
    horizon: Timestamp,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            look_ahead: HORIZON,
            armed: BTreeMap::new(),
            wakes: BTreeSet::new(),
            due: BTreeMap::new(),
            firing: Held::default(),
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
                    self.arm(row.clone());
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
                self.set(agent, name, timer);
            }
        }
        Ok(())
    }

    /// A timer was set or replaced.
    pub(crate) fn set(&mut self, agent: &AgentId, name: &str, timer: &Timer) {
        if timer.at <= self.horizon {
            self.arm(TimerRow::of(agent, name, timer));
        } else {
            self.remove(agent, name);
        }
    }

    /// A timer was cancelled or has fired.
    pub(crate) fn remove(&mut self, agent: &AgentId, name: &str) {
        let at = (agent.clone(), Arc::from(name));
        if let Some(armed) = self.armed.remove(&at) {
            self.leave(&at, armed.place, armed.bytes);
        }
    }

    /// All timers of a deleted agent are gone.
    pub(crate) fn remove_agent(&mut self, agent: &AgentId) {
        let start = (agent.clone(), Arc::from(""));
        let owned = self
            .armed
            .range(start..)
            .take_while(|((owner, _), _)| owner == agent);
        let names: Vec<_> = owned.map(|((_, name), _)| name.clone()).collect();
        for name in names {
            self.remove(agent, &name);
        }
    }

    /// Timers whose time has come, as many as may fire now; each is firing from then on.
    pub(crate) fn fire(&mut self, now: Timestamp) -> Vec<TimerRow> {
        for _ in 0..DUE_AT_ONCE {
            let Some((wake, agent, name)) = self.wakes.first().filter(|first| first.0 <= now)
            else {
                break;
            };
            self.put((agent.clone(), name.clone()), Place::Due(*wake));
        }
        let mut fire = Vec::new();
        for tenant in self.due.keys().cloned().collect::<Vec<_>>() {
            let mut of = Amount::default();
            while of.entries < FIRES_AT_ONCE.entries && of.bytes < FIRES_AT_ONCE.bytes {
                let Some(row) = self.fire_next(&tenant) else {
                    break;
                };
                of.entries += 1;
                of.bytes += row.argument_bytes;
                fire.push(row);
            }
        }
        fire
    }

    /// The next of a tenant's timers that are due fires, if there is room for it.
    fn fire_next(&mut self, tenant: &TenantId) -> Option<TimerRow> {
        if !self.has_room(tenant) {
            return None;
        }
        let (_, agent, name) = self.due.get(tenant)?.first()?.clone();
        let armed = self.put((agent.clone(), name.clone()), Place::Fires)?;
        Some(TimerRow {
            agent,
            name: name.to_string(),
            at: armed.at,
            generation: armed.generation,
            argument_bytes: armed.bytes,
        })
    }

    fn has_room(&self, tenant: &TenantId) -> bool {
        self.firing.has_room(tenant, Amount::ONE, MOST_FIRING)
    }

    /// The next moment at which something is due or the horizon must move.
    pub(crate) fn next_wake(&self) -> Timestamp {
        if self.due.keys().any(|tenant| self.has_room(tenant)) {
            return Timestamp::default();
        }
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
        let armed = self.armed.get(&(agent.clone(), Arc::from(name)));
        armed.is_some_and(|armed| armed.generation == generation)
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
        let Some(armed) = self.armed.get_mut(&(agent.clone(), Arc::from(name))) else {
            return TimerVerdict::Stale;
        };
        if armed.generation != generation {
            return TimerVerdict::Stale;
        }
        armed.attempts += 1;
        if armed.attempts >= retries.attempts {
            return TimerVerdict::GiveUp(armed.attempts);
        }
        let wake = now.plus(retries.pause_after(armed.attempts));
        self.postpone(agent, name, wake);
        TimerVerdict::Again
    }

    /// A firing comes again then. By itself that does not count as an attempt.
    pub(crate) fn postpone(&mut self, agent: &AgentId, name: &str, until: Timestamp) {
        self.put((agent.clone(), Arc::from(name)), Place::Sleeps(until));
    }

    fn arm(&mut self, row: TimerRow) {
        let at = (row.agent, Arc::from(row.name));
        if let Some(old) = self.armed.get(&at) {
            // A record sets a timer once: it is armed already, and perhaps firing.
            if (old.at, old.generation) == (row.at, row.generation) {
                return;
            }
            let (place, bytes) = (old.place, old.bytes);
            self.leave(&at, place, bytes);
        }
        let place = Place::Sleeps(row.at);
        let armed = Armed {
            at: row.at,
            generation: row.generation,
            bytes: row.argument_bytes,
            attempts: 0,
            place,
        };
        self.enter(&at, place, armed.bytes);
        self.armed.insert(at, armed);
    }

    /// Puts an armed timer into another place.
    fn put(&mut self, at: At, place: Place) -> Option<&Armed> {
        let armed = self.armed.get_mut(&at)?;
        let bytes = armed.bytes;
        let old = std::mem::replace(&mut armed.place, place);
        self.leave(&at, old, bytes);
        self.enter(&at, place, bytes);
        self.armed.get(&at)
    }

    fn leave(&mut self, (agent, name): &At, place: Place, bytes: usize) {
        match place {
            Place::Sleeps(wake) => {
                self.wakes.remove(&(wake, agent.clone(), name.clone()));
            }
            Place::Due(wake) => {
                let tenant = agent.tenant();
                if let Some(due) = self.due.get_mut(tenant) {
                    due.remove(&(wake, agent.clone(), name.clone()));
                    if due.is_empty() {
                        self.due.remove(tenant);
                    }
                }
            }
            Place::Fires => self.firing.remove(agent.tenant(), bytes),
        }
    }

    fn enter(&mut self, (agent, name): &At, place: Place, bytes: usize) {
        match place {
            Place::Sleeps(wake) => {
                self.wakes.insert((wake, agent.clone(), name.clone()));
            }
            Place::Due(wake) => {
                let due = self.due.entry(agent.tenant().clone()).or_default();
                due.insert((wake, agent.clone(), name.clone()));
            }
            Place::Fires => self.firing.add(agent.tenant(), bytes),
        }
    }
}
