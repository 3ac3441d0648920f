//! Messages come in: cycles and full mailboxes are refused, the rest waits its turn.

use super::stop::shutting_down;
use super::tick::NO_ROOM;
use super::{Action, Mutation, Phase, Queued, ShardCore};
use crate::dedupe::Waiters;
use crate::inbox::Seen;
use crate::message::{CallChain, Message, MessageId, Operation, Origin};
use crate::outbox::{Delivery, DeliveryResult};
use crate::record::DedupeScope;
use crate::share::Amount;
use crate::view::StoreView;
use eddy_types::limits::{MAX_CALL_DEPTH, MAX_MAILBOX, MAX_SHARD_MAILBOX, MAX_WAITING_BYTES};
use eddy_types::{AgentId, EddyError, ErrorCode, Timestamp};
use std::time::Duration;

/// What may wait in the mailboxes of a shard, for one tenant alone.
const MOST_WAITING: Amount = Amount {
    entries: MAX_SHARD_MAILBOX,
    bytes: MAX_WAITING_BYTES,
};

impl<R> ShardCore<R> {
    /// A message for an agent of this shard.
    pub fn deliver<V: StoreView + ?Sized>(
        &mut self,
        message: Message<R>,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        if let Some(error) = self.stopped().cloned() {
            return self.refuse(message, error, now, out);
        }
        // A duplicate takes no room and starts nothing, so it is answered or joined in any case.
        let Some(message) = self.deduplicate(message, now, view, out) else {
            return;
        };
        match self.admit(&message, now) {
            Ok(()) => {
                self.expect_duplicates(&message);
                self.enqueue(message, now, view, out);
            }
            Err(error) => self.refuse(message, error, now, out),
        }
    }

    /// A send from another shard (or this one) for an agent of this shard.
    pub fn deliver_send<V: StoreView + ?Sized>(
        &mut self,
        delivery: Delivery,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        let Delivery {
            source,
            seq,
            floor,
            attempt,
            send,
            ..
        } = delivery;
        match self.inbox.seen(source, seq) {
            Seen::UnderWay => return,
            Seen::Done if !self.mutated(Mutation::DedupeForgotten) => {
                let result = DeliveryResult::Done;
                out.push(Action::Settle {
                    source,
                    dest: self.shard,
                    seq,
                    result,
                });
                return;
            }
            _ => {}
        }
        let message = Message {
            id: self.ids.of_send(source, self.shard, seq),
            to: send.to,
            operation: Operation::Method {
                method: send.method,
                argument: send.argument,
                read_only: false,
            },
            origin: Origin::Send {
                source,
                seq,
                floor,
                from: send.from,
                attempt,
            },
            deadline: None,
            chain: CallChain::root(now),
            retriable: true,
        };
        self.deliver(message, now, view, out);
    }

    /// A waiting call is given up because it is part of a deadlock. Nothing happens when it has
    /// started meanwhile.
    pub fn abort_call(&mut self, agent: &AgentId, call: MessageId, out: &mut Vec<Action<R>>) {
        let Some(queued) = self.take_queued(agent, |queued| queued.message.id == call) else {
            return;
        };
        let error = EddyError::new(
            ErrorCode::Deadlock,
            format!("a call to {agent} would wait for ever: calls wait for each other in a circle"),
        )
        .hint("Call agents in one order everywhere, or use send where no answer is needed.")
        .retry_after(Duration::from_millis(50));
        self.answer(queued.message, error, out);
    }

    /// Nobody waits for this call any more. It is dropped if it has not started.
    pub fn cancel_call(&mut self, agent: &AgentId, call: MessageId, out: &mut Vec<Action<R>>) {
        if let Some(queued) = self.take_queued(agent, |queued| queued.message.id == call) {
            let error = EddyError::new(ErrorCode::TurnAborted, "the call was cancelled");
            self.answer(queued.message, error, out);
        }
    }

    fn admit(&self, message: &Message<R>, now: Timestamp) -> Result<(), EddyError> {
        let to = &message.to;
        // Running turns may still call others; new work comes from outside.
        if matches!(self.phase, Phase::Draining) && message.chain.depth == 0 {
            return Err(shutting_down());
        }
        if message.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(deadline_passed(to));
        }
        if message.chain.agents.contains(to) {
            return Err(EddyError::new(
                ErrorCode::CallCycle,
                format!("{to} waits for this call already, so it could never be answered"),
            )
            .hint("Use send instead of call, or restructure so that calls go one way."));
        }
        if message.chain.depth > MAX_CALL_DEPTH {
            return Err(EddyError::new(
                ErrorCode::CallDepth,
                format!("calls are nested more than {MAX_CALL_DEPTH} deep"),
            ));
        }
        self.admit_load(to)
    }

    /// Whether there is room for a message to this agent.
    pub(super) fn admit_load(&self, to: &AgentId) -> Result<(), EddyError> {
        let waiting = self.cells.get(to).map_or(0, |cell| cell.queue.len());
        if waiting >= MAX_MAILBOX {
            return Err(EddyError::new(
                ErrorCode::MailboxFull,
                format!("{waiting} messages wait for {to} already"),
            )
            .hint("Slow down, or spread the work over more keys.")
            .retry_after(Duration::from_secs(1)));
        }
        let tenant = to.tenant();
        let few = self.waiting.has_room(tenant, Amount::ONE, MOST_WAITING);
        if !few || !self.overlay.has_room_for(tenant) {
            return Err(EddyError::new(
                ErrorCode::Overloaded,
                "the shard has too much work waiting",
            )
            .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    fn enqueue<V: StoreView + ?Sized>(
        &mut self,
        message: Message<R>,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        if let Origin::Send { source, seq, .. } = &message.origin {
            self.inbox.queued(*source, *seq);
        }
        let agent = message.to.clone();
        if self.is_idle(&agent) {
            self.start(message, now, view, out);
            self.start_next(&agent, now, view, out);
            return;
        }
        let probe = message.chain.caller.map(|caller| (caller, message.id));
        self.next_number += 1;
        let number = self.next_number;
        let deadline = message.deadline;
        let cell = self.cells.entry(agent.clone()).or_default();
        let weight = message.operation.weight();
        self.waiting.add(agent.tenant(), weight);
        cell.queue.push_back(Queued { number, message });
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, number, agent.clone()));
        }
        if let Some((caller, call)) = probe {
            self.start_probe(caller, agent, call, out);
        }
    }

    /// Gives waiting messages up whose deadline has passed.
    pub(super) fn expire(&mut self, now: Timestamp, out: &mut Vec<Action<R>>) {
        while let Some((_, number, agent)) = self.deadlines.pop_first_if_due(now) {
            if let Some(queued) = self.take_queued(&agent, |queued| queued.number == number) {
                self.answer(queued.message, deadline_passed(&agent), out);
            }
        }
    }

    fn take_queued(
        &mut self,
        agent: &AgentId,
        wanted: impl Fn(&Queued<R>) -> bool,
    ) -> Option<Queued<R>> {
        let cell = self.cells.get_mut(agent)?;
        let position = cell.queue.iter().position(wanted)?;
        let queued = cell.queue.remove(position)?;
        let weight = queued.message.operation.weight();
        self.waiting.remove(agent.tenant(), weight);
        if let Some(deadline) = queued.message.deadline {
            self.deadlines
                .remove(&(deadline, queued.number, agent.clone()));
        }
        Some(queued)
    }

    /// Answers a request that will not run, and whoever joined it.
    pub(super) fn answer(
        &mut self,
        message: Message<R>,
        error: EddyError,
        out: &mut Vec<Action<R>>,
    ) {
        if let Origin::Request { reply, key } = message.origin {
            let joined = match key {
                Some(key) => self.joins.finish(&DedupeScope::Agent(message.to), &key),
                None => Waiters::default(),
            };
            for to in std::iter::once(reply).chain(joined) {
                out.push(Action::Reply {
                    to,
                    outcome: Err(error.clone()),
                });
            }
        }
    }

    fn refuse(
        &mut self,
        message: Message<R>,
        error: EddyError,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        match message.origin {
            // Refused before it could join: nobody waits for it but its sender.
            Origin::Request { reply, .. } => out.push(Action::Reply {
                to: reply,
                outcome: Err(error),
            }),
            Origin::Send { source, seq, .. } => {
                let result = DeliveryResult::Refused(error);
                out.push(Action::Settle {
                    source,
                    dest: self.shard,
                    seq,
                    result,
                });
            }
            Origin::Timer { name, .. } => {
                self.timers.postpone(&message.to, &name, now.plus(NO_ROOM));
            }
        }
    }
}

pub(super) fn deadline_passed(agent: &AgentId) -> EddyError {
    EddyError::new(
        ErrorCode::DeadlineExceeded,
        format!("the deadline passed before {agent} began"),
    )
    .hint(
        "The agent is busy: allow more time with Eddy-Timeout, or spread the work over more keys.",
    )
}

trait PopDue {
    fn pop_first_if_due(&mut self, now: Timestamp) -> Option<(Timestamp, u64, AgentId)>;
}

impl PopDue for std::collections::BTreeSet<(Timestamp, u64, AgentId)> {
    fn pop_first_if_due(&mut self, now: Timestamp) -> Option<(Timestamp, u64, AgentId)> {
        if self.first()?.0 > now {
            return None;
        }
        self.pop_first()
    }
}
