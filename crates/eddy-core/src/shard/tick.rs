//! Time passes: timers fire, pauses end, deadlines pass, settled sends are written down.

use super::{Action, Phase, ShardCore};
use crate::message::{CallChain, Message, Operation, Origin};
use crate::view::{StoreView, TimerRow};
use eddy_types::{EddyError, Timestamp};
use std::time::Duration;

/// When a timer comes again whose agent had no room for it.
pub(super) const NO_ROOM: Duration = Duration::from_secs(1);

impl<R> ShardCore<R> {
    /// Does what is due. To be called at [`Self::next_wake`] or later. An error is `store-failed`.
    pub fn tick<V: StoreView + ?Sized>(
        &mut self,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<(), EddyError> {
        if self.stopped().is_some() {
            return Ok(());
        }
        self.expire(now, out);
        self.keep_house(now, out);
        if !matches!(self.phase, Phase::Open) {
            return Ok(());
        }
        let due = self.outbox.due(now);
        out.extend(
            due.into_iter()
                .map(|delivery| Action::Deliver(Box::new(delivery))),
        );
        self.retry_functions(now, out);
        self.timers.refill(now, &self.overlay, view)?;
        for row in self.timers.fire(now) {
            self.fire(row, now, view, out)?;
        }
        Ok(())
    }

    fn fire<V: StoreView + ?Sized>(
        &mut self,
        row: TimerRow,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<(), EddyError> {
        // Asked first, so that nothing is read for what is refused.
        if self.admit_load(&row.agent).is_err() {
            self.timers
                .postpone(&row.agent, &row.name, now.plus(NO_ROOM));
            return Ok(());
        }
        let known = self.overlay.timer(&row.agent, &row.name);
        let timer = known.or_ask(|| view.timer(&row.agent, &row.name))?;
        let Some(timer) = timer.filter(|timer| timer.generation == row.generation) else {
            self.timers.remove(&row.agent, &row.name);
            return Ok(());
        };
        let message = Message {
            id: self.ids.of_timer(self.shard, row.generation, &row.name),
            to: row.agent,
            operation: Operation::Method {
                method: timer.method,
                argument: timer.argument,
                read_only: false,
            },
            origin: Origin::Timer {
                name: row.name,
                generation: row.generation,
            },
            deadline: None,
            chain: CallChain::root(now),
            retriable: true,
        };
        self.deliver(message, now, view, out);
        Ok(())
    }

    /// Holds timers in memory that are so far ahead: for a clock that leaps. Memory then grows with
    /// how many there are.
    pub fn look_ahead(&mut self, by: Duration) {
        self.timers.look_ahead = by;
    }

    /// When `tick` has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Timestamp {
        let never = Timestamp(u64::MAX);
        match self.phase {
            Phase::Open => {}
            Phase::Draining => {
                let deadline = self.deadlines.first().map(|(deadline, ..)| *deadline);
                let due = [deadline, self.housekeeping].into_iter().flatten();
                return due.min().unwrap_or(never);
            }
            Phase::Stopped(_) => return never,
        }
        let deadline = self.deadlines.first().map(|(deadline, ..)| *deadline);
        [
            deadline,
            self.housekeeping,
            self.outbox.next_wake(),
            self.functions.next_wake(),
        ]
        .into_iter()
        .flatten()
        .fold(self.timers.next_wake(), Timestamp::min)
    }
}
