//! An agent is deleted: a turn without a guest.

use super::{Action, Running, ShardCore};
use crate::message::{Origin, TurnId};
use crate::record::{Change, Outcome, Record};
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::{AgentId, EddyError, Seq, Timestamp};

impl<R> ShardCore<R> {
    pub(super) fn end_delete<V: StoreView + ?Sized>(
        &mut self,
        turn: TurnId,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(agent) = self.turns.remove(&turn.number) else {
            return;
        };
        let running = self.cells.get_mut(&agent);
        let Some(running) = running.and_then(|cell| cell.running.take()) else {
            return;
        };
        out.push(Action::DropInstance(agent));
        match self.commit_delete(&running, now, view, out) {
            Ok((until, existed)) => {
                self.reply_to(running.message, until, existed_as_json(existed), out);
            }
            Err(error) => self.reply_to(running.message, running.gate, Err(error), out),
        }
    }

    /// Answers with the record to wait for, and whether there was anything to delete.
    fn commit_delete<V: StoreView + ?Sized>(
        &mut self,
        running: &Running<R>,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<(Seq, bool), EddyError> {
        let agent = &running.message.to;
        let existed = self.exists(agent, view)?;
        let mut changes = Vec::new();
        if existed {
            changes.push(Change::AgentDeleted {
                agent: agent.clone(),
            });
        }
        if let Origin::Request { key: Some(key), .. } = &running.message.origin {
            let outcome = existed_as_json(existed);
            changes.push(self.answered_key(&running.message, key.clone(), &outcome, now));
        }
        if changes.is_empty() {
            return Ok((running.gate, existed));
        }
        let seq = self.append(Record { at: now, changes }, false, out)?;
        self.cells.entry(agent.clone()).or_default().last = seq;
        Ok((seq, existed))
    }

    fn exists<V: StoreView + ?Sized>(&self, agent: &AgentId, view: &V) -> Result<bool, EddyError> {
        if self.volatile.contains(agent) {
            return Ok(true);
        }
        let known = self.overlay.agent_exists(agent);
        known.or_ask(|| view.agent_exists(agent))
    }
}

fn existed_as_json(existed: bool) -> Outcome {
    Ok(Bytes::from_static(if existed { b"true" } else { b"false" }))
}
