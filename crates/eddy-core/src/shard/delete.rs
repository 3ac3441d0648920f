//! An agent is deleted, or gets another state: turns without a guest.

use super::{Action, Running, ShardCore};
use crate::import::Import;
use crate::message::{Operation, Origin, TurnId};
use crate::record::{Change, Outcome, Record};
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::limits::MAX_RECORD_BYTES;
use eddy_types::{AgentId, EddyError, ErrorCode, Seq, Timestamp};

impl<R> ShardCore<R> {
    /// Ends a turn that runs no guest as soon as it has begun.
    pub(super) fn end_without_guest<V: StoreView + ?Sized>(
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
        let committed = match &running.message.operation {
            Operation::Import(import) => self.commit_import(&running, import, now, view, out),
            _ => self.commit_delete(&running, now, view, out),
        };
        match committed {
            Ok((until, outcome)) => {
                out.push(Action::DropInstance(agent));
                self.reply_to(running.message, until, outcome, out);
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
    ) -> Result<(Seq, Outcome), EddyError> {
        let agent = &running.message.to;
        let existed = self.exists(agent, view)?;
        let mut changes = Vec::new();
        if existed {
            changes.push(Change::AgentDeleted {
                agent: agent.clone(),
            });
        }
        self.commit_without_guest(running, changes, existed, now, out)
    }

    /// Answers with the record to wait for, and whether there was anything in its place.
    fn commit_import<V: StoreView + ?Sized>(
        &mut self,
        running: &Running<R>,
        import: &Import,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<(Seq, Outcome), EddyError> {
        let agent = &running.message.to;
        let existed = self.exists(agent, view)?;
        if existed && !import.replaces() {
            return Err(agent_exists(agent));
        }
        import.check_moments(now)?;
        let mut changes = Vec::with_capacity(2 + import.content().writes.len());
        if existed {
            changes.push(Change::AgentDeleted {
                agent: agent.clone(),
            });
        }
        changes.push(Change::AgentTouched {
            agent: agent.clone(),
        });
        self.content_changes(agent, import.content(), &mut changes);
        self.commit_without_guest(running, changes, existed, now, out)
            .map_err(|error| match error.code {
                ErrorCode::RecordTooLarge => too_large(agent),
                _ => error,
            })
    }

    fn commit_without_guest(
        &mut self,
        running: &Running<R>,
        mut changes: Vec<Change>,
        existed: bool,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) -> Result<(Seq, Outcome), EddyError> {
        let outcome = existed_as_json(existed);
        if let Origin::Request { key: Some(key), .. } = &running.message.origin {
            changes.push(self.answered_key(&running.message, key.clone(), &outcome, now));
        }
        if changes.is_empty() {
            return Ok((running.gate, outcome));
        }
        let agent = &running.message.to;
        let seq = self.append(Record { at: now, changes }, false, out)?;
        self.cells.entry(agent.clone()).or_default().last = seq;
        Ok((seq, outcome))
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

fn agent_exists(agent: &AgentId) -> EddyError {
    let detail = format!("{agent} has a state, which an import would replace");
    EddyError::new(ErrorCode::AgentExists, detail)
        .hint("Say so with --replace, over HTTP `?replace=true`, or delete the agent first.")
}

fn too_large(agent: &AgentId) -> EddyError {
    let detail = format!(
        "the state of {agent} does not fit one record of {MAX_RECORD_BYTES} bytes, and an import is one"
    );
    EddyError::new(ErrorCode::RecordTooLarge, detail)
        .hint("Take a part of the document out, and have a method of the agent write it in several turns.")
}
