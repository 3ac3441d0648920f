//! A shard takes no more work: at an orderly stop, or at once when it cannot go on.

use super::{Action, EffectStart, Phase, ShardCore};
use crate::gates::Gated;
use crate::message::Message;
use crate::share::Held;
use eddy_types::{EddyError, ErrorCode};

impl<R> ShardCore<R> {
    /// Refuses new requests from now on; what runs may end.
    pub fn drain(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Draining;
        }
    }

    /// Gives everything up: an append failed or was fenced. Whoever waits gets `error`, once; what
    /// of it is durable shows when the journal is read again.
    pub fn stop(&mut self, error: &EddyError, out: &mut Vec<Action<R>>) {
        if matches!(self.phase, Phase::Stopped(_)) {
            return;
        }
        self.phase = Phase::Stopped(error.clone());
        let mut waiting = self.joins.drain();
        waiting.extend(self.gates.drain().filter_map(waiter_of));
        let mut cells: Vec<_> = self.cells.drain().collect();
        cells.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (agent, cell) in cells {
            out.push(Action::DropInstance(agent));
            let running = cell.running.map(|running| running.message);
            let queued = cell.queue.into_iter().map(|queued| queued.message);
            waiting.extend(
                running
                    .into_iter()
                    .chain(queued)
                    .filter_map(Message::waiter),
            );
        }
        waiting.extend(self.functions.drain());
        self.turns.clear();
        self.waiting = Held::default();
        self.deadlines.clear();
        self.lingering.clear();
        self.volatile.clear();
        out.extend(waiting.into_iter().map(|to| Action::Reply {
            to,
            outcome: Err(error.clone()),
        }));
    }

    pub(super) fn stopped(&self) -> Option<&EddyError> {
        match &self.phase {
            Phase::Stopped(error) => Some(error),
            _ => None,
        }
    }
}

fn waiter_of<R>(gated: Gated<R>) -> Option<R> {
    match gated {
        Gated::Reply(to, _) | Gated::Effect(_, EffectStart::Other(to, _)) => Some(to),
        Gated::Effect(_, EffectStart::Call(_, message)) => message.waiter(),
        Gated::Settle(..) | Gated::Function(_) | Gated::Ended(..) => None,
    }
}

pub(super) fn shutting_down() -> EddyError {
    EddyError::new(
        ErrorCode::ShuttingDown,
        "the node is stopping and takes no new work",
    )
    .hint("Try again in a moment, or on another node.")
    .retry_after(std::time::Duration::from_secs(1))
}
