//! The end of a run: no new work and no new faults, until nothing moves any more.

use crate::cast::{Op, decode};
use crate::node::{RunKind, Waiter};
use crate::world::{Broken, World};
use eddy_core::{Outcome, StoreView};
use eddy_types::{ErrorCode, Timestamp};

/// Steps that settling may take.
const PATIENCE: u32 = 60_000;

impl World {
    pub(crate) fn settle(&mut self) -> Result<(), Broken> {
        self.settling = true;
        self.say(format_args!("settle"));
        while let Some((_, zombie)) = self.zombies.pop() {
            self.wake_zombie(zombie)?;
        }
        if self.node.restart_in.is_some() {
            self.end_and_restart()?;
        }
        for _ in 0..PATIENCE {
            self.step += 1;
            if self.node.restart_in.is_some() {
                // A take-over was noticed only now.
                self.end_and_restart()?;
            }
            if self.step_inside()? {
                continue;
            }
            for client in 0..self.clients.len() {
                self.client_step(client)?;
            }
            if !self.node.is_still() {
                continue;
            }
            self.check_no_deadlock()?;
            if self.is_quiet()? {
                return Ok(());
            }
            self.redrive()?;
            self.skip_to_next_wake()?;
        }
        Err(format!("it does not settle: {}", self.unsettled()?))
    }

    /// When nothing can happen but by time, no guest may still wait.
    fn check_no_deadlock(&self) -> Result<(), Broken> {
        let waiting: Vec<_> = self.node.runs.values().map(|run| &run.kind).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        Err(format!("these wait for ever: {waiting:?}"))
    }

    fn skip_to_next_wake(&mut self) -> Result<(), Broken> {
        let wakes = self.node.cores.iter().map(|core| core.next_wake());
        let next = wakes.min().unwrap_or(Timestamp(0));
        self.now = self.now.max(next);
        self.tick()
    }

    fn is_quiet(&self) -> Result<bool, Broken> {
        Ok(self.unsettled()?.is_empty())
    }

    /// What is not yet as it must be at the end.
    fn unsettled(&self) -> Result<String, Broken> {
        let broken = |error: eddy_types::EddyError| format!("{error:?}");
        let mut left = String::new();
        for (number, client) in self.clients.iter().enumerate() {
            if let Some(op) = client.op {
                left += &format!("client {number} waits for op {op}; ");
            }
        }
        for (shard, core) in self.node.cores.iter().enumerate() {
            let store = &self.disk.shards[shard].durable;
            let timers = store
                .timers_until(Timestamp(u64::MAX), None, 1000)
                .map_err(broken)?
                .len();
            let counts = [
                ("sends", core.outbox_len()),
                ("sends in the store", store.outbox().map_err(broken)?.len()),
                ("waiting", core.waiting()),
                ("running", core.running()),
                ("uncommitted", core.uncommitted() as usize),
                ("timers", timers),
                (
                    "invocations",
                    store.unfinished_invocations().map_err(broken)?.len(),
                ),
                ("poisoned", self.poisoned(shard)?.len()),
            ];
            for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                left += &format!("shard {shard}: {count} {what}; ");
            }
        }
        Ok(left)
    }

    /// Dead letters that would work by now.
    fn poisoned(&self, shard: usize) -> Result<Vec<eddy_core::DeadLetterId>, Broken> {
        let mut found = Vec::new();
        for (id, letter) in self.disk.shards[shard].durable.dead_letters() {
            let script = decode(&letter.argument)?;
            if script.iter().any(|op| matches!(op, Op::Take { .. })) {
                found.push(*id);
            }
        }
        Ok(found)
    }

    /// The operator sends a dead letter again.
    pub(crate) fn redrive(&mut self) -> Result<(), Broken> {
        for shard in 0..self.disk.shards.len() {
            let Some(id) = self.poisoned(shard)?.first().copied() else {
                continue;
            };
            self.count("redriven");
            let reply = self.expect_reply(Waiter::Operator);
            let (node, mut out) = (&mut self.node, Vec::new());
            let view = &node.stores[shard];
            node.cores[shard].settle_dead_letter(id, true, reply, self.now, view, &mut out);
            self.carry(shard, out)?;
        }
        Ok(())
    }

    /// The answer of a call reaches the guest.
    pub(crate) fn call_returns(
        &mut self,
        id: u64,
        slot: usize,
        outcome: Outcome,
    ) -> Result<(), Broken> {
        if let Err(error) = &outcome
            && matches!(
                error.code,
                ErrorCode::CallDiverged | ErrorCode::IdempotencyMismatch
            )
        {
            return Err(format!("a call of run {id} is refused: {error:?}"));
        }
        let Some(run) = self.node.runs.get_mut(&id) else {
            return Ok(());
        };
        let kind = run.kind.clone();
        let Some(call) = run.calls.get_mut(slot) else {
            return Err(format!("run {id} has no call {slot}"));
        };
        call.outcome = Some(outcome);
        let call = call.id;
        match kind {
            RunKind::Turn { turn, who, .. } => {
                self.node.cores[self.cast.shard(who)].call_done(turn, call);
            }
            RunKind::Inner { turn, shard, .. } => self.node.cores[shard].call_done(turn, call),
            RunKind::Function | RunKind::Plain { .. } => {}
        }
        Ok(())
    }
}
