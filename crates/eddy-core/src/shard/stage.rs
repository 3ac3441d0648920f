//! The parts of a turn's record: what it changes, what its message is remembered by, its sends.

use super::{Mutation, ShardCore};
use crate::effects::{Effects, Outgoing, TimerRequest};
use crate::message::{Message, Origin};
use crate::record::{Change, DedupeKey, DedupeRow, DedupeScope, Outcome, SendRow, Sender, Timer};
use crate::view::StoreView;
use eddy_types::limits::{IDEMPOTENCY_WINDOW, MAX_TIMER_BYTES_PER_AGENT, MAX_TIMERS_PER_AGENT};
use eddy_types::{AgentId, EddyError, ErrorCode, ShardId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

impl<R> ShardCore<R> {
    /// Writes of an agent; those of one with durability `none` are in no record.
    pub(super) fn agent_changes(
        &self,
        agent: &AgentId,
        effects: &Effects,
        volatile: bool,
        changes: &mut Vec<Change>,
    ) {
        let recorded = if volatile {
            !(effects.sends.is_empty() && effects.timers.is_empty())
        } else {
            !effects.is_empty()
        };
        if recorded {
            changes.push(Change::AgentTouched {
                agent: agent.clone(),
            });
        }
        if volatile {
            return;
        }
        write_changes(agent, effects, changes);
    }

    /// The state and the timers of an import.
    pub(super) fn content_changes(
        &self,
        agent: &AgentId,
        content: &Effects,
        changes: &mut Vec<Change>,
    ) {
        write_changes(agent, content, changes);
        self.timer_requests(agent, &content.timers, changes);
    }

    pub(super) fn answered_key(
        &self,
        message: &Message<R>,
        key: DedupeKey,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Change {
        Change::DedupePut {
            scope: DedupeScope::Agent(message.to.clone()),
            key,
            row: DedupeRow {
                digest: message.operation.digest(&message.to),
                outcome: outcome.clone(),
                expires: now.plus(IDEMPOTENCY_WINDOW),
            },
        }
    }

    /// What the origin of a message needs to be remembered by.
    pub(super) fn origin_changes(
        &self,
        message: &Message<R>,
        outcome: &Outcome,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        if self.mutated(Mutation::DedupeForgotten) {
            return;
        }
        match &message.origin {
            Origin::Request { key: Some(key), .. } => {
                changes.push(self.answered_key(message, key.clone(), outcome, now));
            }
            Origin::Send {
                source, seq, floor, ..
            } => {
                changes.push(Change::InboxMark {
                    source: *source,
                    seq: *seq,
                    floor: *floor,
                });
            }
            Origin::Request { key: None, .. } | Origin::Timer { .. } => {}
        }
    }

    pub(super) fn timer_changes(
        &self,
        agent: &AgentId,
        timers: &BTreeMap<String, Option<TimerRequest>>,
        origin: &Origin<R>,
        changes: &mut Vec<Change>,
    ) {
        // The timer that fired is gone, unless its own handler set it again.
        if let Origin::Timer { name, .. } = origin
            && !timers.contains_key(name)
        {
            changes.push(Change::TimerDelete {
                agent: agent.clone(),
                name: name.clone(),
            });
        }
        self.timer_requests(agent, timers, changes);
    }

    fn timer_requests(
        &self,
        agent: &AgentId,
        timers: &BTreeMap<String, Option<TimerRequest>>,
        changes: &mut Vec<Change>,
    ) {
        changes.extend(timers.iter().map(|(name, request)| match request {
            Some(TimerRequest {
                at,
                method,
                argument,
            }) => Change::TimerPut {
                agent: agent.clone(),
                name: name.clone(),
                timer: Timer {
                    at: *at,
                    method: method.clone(),
                    argument: argument.clone(),
                    generation: self.next,
                },
            },
            None => Change::TimerDelete {
                agent: agent.clone(),
                name: name.clone(),
            },
        }));
    }

    /// Numbers the sends of a turn. Answers with what `unstage` needs.
    pub(super) fn stage_sends(
        &mut self,
        from: &Sender,
        sends: Vec<Outgoing>,
        changes: &mut Vec<Change>,
    ) -> Vec<ShardId> {
        let mut staged = Vec::with_capacity(sends.len());
        for outgoing in sends {
            let dest = self.map.shard_of_agent(&outgoing.to);
            let seq = self.outbox.allocate(dest);
            staged.push(dest);
            let send = SendRow {
                from: from.clone(),
                to: outgoing.to,
                method: outgoing.method,
                argument: outgoing.argument,
            };
            changes.push(Change::OutboxPut { dest, seq, send });
        }
        staged
    }

    /// Gives numbers back that no record carries, newest first.
    pub(super) fn unstage(&mut self, staged: Vec<ShardId>) {
        for dest in staged {
            self.outbox.unallocate(dest);
        }
    }

    /// Whether the outbox takes these sends, which are of one tenant.
    pub(super) fn check_room(&self, sends: &[Outgoing]) -> Result<(), EddyError> {
        let Some(first) = sends.first() else {
            return Ok(());
        };
        let tenant = first.to.tenant();
        if !self.outbox.has_room_for(tenant, sends.len()) {
            return Err(EddyError::new(
                ErrorCode::Overloaded,
                format!(
                    "{} sends of the tenant wait for delivery in this shard, which has no room for more",
                    self.outbox.len_of(tenant)
                ),
            )
            .hint("A target may be failing: see `eddy dead-letters` and the node's log.")
            .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    pub(super) fn check_timers<V: StoreView + ?Sized>(
        &self,
        agent: &AgentId,
        effects: &Effects,
        origin: &Origin<R>,
        view: &V,
    ) -> Result<(), EddyError> {
        if effects.timers.values().all(Option::is_none) {
            return Ok(());
        }
        let mut timers: BTreeMap<String, usize> = BTreeMap::new();
        if !self.overlay.hides_store(agent) {
            timers.extend(view.timers_of(agent)?);
        }
        let newer = self
            .overlay
            .timers_of(agent)
            .map(|(name, timer)| (name, timer.map(|timer| timer.argument.len())));
        let own = effects.timers.iter().map(|(name, timer)| {
            let size = timer.as_ref().map(|timer| timer.argument.len());
            (name.as_str(), size)
        });
        let set = |timers: &mut BTreeMap<String, usize>, name: &str, size: Option<usize>| {
            match size {
                Some(size) => timers.insert(name.to_owned(), size),
                None => timers.remove(name),
            };
        };
        newer.for_each(|(name, size)| set(&mut timers, name, size));
        let before = timers.values().sum::<usize>();
        // The one that fired goes with this turn.
        if let Origin::Timer { name, .. } = origin {
            timers.remove(name);
        }
        own.for_each(|(name, size)| set(&mut timers, name, size));
        let (number, bytes) = (timers.len(), timers.values().sum::<usize>());
        let too_much = if number > MAX_TIMERS_PER_AGENT {
            format!("{agent} would have {number} timers; the limit is {MAX_TIMERS_PER_AGENT}")
        } else if bytes > MAX_TIMER_BYTES_PER_AGENT.max(before) {
            format!(
                "the arguments of the timers of {agent} would have {bytes} bytes; the limit is {MAX_TIMER_BYTES_PER_AGENT}"
            )
        } else {
            return Ok(());
        };
        Err(EddyError::new(ErrorCode::LimitExceeded, too_much)
            .hint("Keep what is large in the state of the agent, and one timer for what is next."))
    }
}

fn write_changes(agent: &AgentId, effects: &Effects, changes: &mut Vec<Change>) {
    changes.extend(effects.writes.iter().map(|(key, value)| match value {
        Some(value) => Change::StatePut {
            agent: agent.clone(),
            key: key.clone(),
            value: value.clone(),
        },
        None => Change::StateDelete {
            agent: agent.clone(),
            key: key.clone(),
        },
    }));
}
