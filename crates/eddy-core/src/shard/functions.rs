//! Invocations of functions that must be remembered: keyed, asynchronous, or sending. A plain one
//! never comes here. An invocation lives in the shard of `hash(tenant, id)`.

use super::stop::shutting_down;
use super::{Action, Phase, ShardCore};
use crate::dedupe::{Waiters, mismatch, waits_no_more};
use crate::effects::Outgoing;
use crate::gates::Gated;
use crate::message::{CallChain, MessageId};
use crate::record::{Change, DedupeKey, InvocationRow, Outcome, Record};
use crate::share::{Amount, Held};
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::limits::{IDEMPOTENCY_WINDOW, MAX_MAILBOX, MAX_WAITING_BYTES};
use eddy_types::{Digest, EddyError, ErrorCode, FunctionId, RetryPolicy, Seq, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Durable invocations of a shard under way, and what their arguments hold, for one tenant alone.
const MOST_UNDER_WAY: Amount = Amount {
    entries: MAX_MAILBOX,
    bytes: MAX_WAITING_BYTES,
};

/// A request for a durable invocation.
#[derive(Debug)]
pub struct FunctionRequest<R> {
    /// Its id; of a keyed one, the id of its key.
    pub id: MessageId,
    /// The function.
    pub function: FunctionId,
    /// The argument, JSON text.
    pub argument: Bytes,
    /// The idempotency key, as text.
    pub key: Option<String>,
    /// Answer when it is accepted, not when it has ended.
    pub background: bool,
    /// Where the reply goes.
    pub reply: R,
    /// Given up from then on; none for a background one.
    pub deadline: Option<Timestamp>,
    /// The calls above it.
    pub chain: CallChain,
}

/// A function to run.
#[derive(Clone, Debug)]
pub struct FunctionStart {
    /// The invocation.
    pub id: MessageId,
    /// The function.
    pub function: FunctionId,
    /// The argument, JSON text.
    pub argument: Bytes,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Given up from then on.
    pub deadline: Option<Timestamp>,
    /// The calls above it.
    pub chain: CallChain,
}

/// How a function ended.
#[derive(Debug)]
pub enum FunctionEnd {
    /// It returned a result, or its own error; with the sends it made.
    Returned(Outcome, Vec<Outgoing>),
    /// It did not return.
    Failed(EddyError, RetryPolicy),
}

/// The sends of a plain invocation, to commit when it has ended.
#[derive(Debug)]
pub struct PlainSends<R> {
    /// The invocation.
    pub id: MessageId,
    /// Its sends.
    pub sends: Vec<Outgoing>,
    /// Its result.
    pub outcome: Outcome,
    /// Who waits for it.
    pub reply: R,
}

#[derive(Debug)]
pub(super) struct Running<R> {
    pub(super) start: FunctionStart,
    pub(super) digest: Digest,
    pub(super) key: Option<String>,
    pub(super) background: bool,
    pub(super) queued: Timestamp,
    /// Who waits: for the outcome, or (true) just to hear that it is accepted.
    pub(super) waiters: Waiters<(R, bool)>,
    /// Between two attempts.
    pub(super) pausing: bool,
}

/// Durable invocations under way.
#[derive(Debug)]
pub(super) struct Functions<R> {
    pub(super) running: BTreeMap<MessageId, Running<R>>,
    /// What their arguments hold, by tenant.
    held: Held,
    pub(super) retries: BTreeSet<(Timestamp, MessageId)>,
}

impl<R> Default for Functions<R> {
    fn default() -> Self {
        Self {
            running: BTreeMap::new(),
            held: Held::default(),
            retries: BTreeSet::new(),
        }
    }
}

impl<R> Functions<R> {
    pub(super) fn running(&self) -> usize {
        self.running
            .values()
            .filter(|running| !running.pausing)
            .count()
    }

    pub(super) fn add(&mut self, id: MessageId, running: Running<R>) {
        let start = &running.start;
        self.held.add(&start.function.tenant, start.argument.len());
        self.running.insert(id, running);
    }

    pub(super) fn remove(&mut self, id: MessageId) -> Option<Running<R>> {
        let running = self.running.remove(&id)?;
        let start = &running.start;
        self.held
            .remove(&start.function.tenant, start.argument.len());
        Some(running)
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.retries.first().map(|(wake, _)| *wake)
    }

    pub(super) fn drain(&mut self) -> Vec<R> {
        self.held = Held::default();
        let running = std::mem::take(&mut self.running);
        running
            .into_values()
            .flat_map(|running| running.waiters)
            .map(|(reply, _)| reply)
            .collect()
    }
}

pub(super) fn digest_of(function: &FunctionId, argument: &[u8]) -> Digest {
    Digest::of_parts(&[function.name.as_str().as_bytes(), argument])
}

impl<R> ShardCore<R> {
    /// A request for a keyed or asynchronous invocation.
    pub fn submit_function<V: StoreView + ?Sized>(
        &mut self,
        request: FunctionRequest<R>,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        if let Some(error) = self.stopped().cloned() {
            return refuse(request.reply, error, out);
        }
        let digest = digest_of(&request.function, &request.argument);
        match self.known_invocation(request.id, now, view) {
            Err(error) => refuse(request.reply, error, out),
            Ok(Some((_, row))) if row.key.as_ref().is_some_and(|(_, first)| *first != digest) => {
                refuse_mismatch(request, out);
            }
            Ok(Some((seq, _))) if request.background => {
                self.reply_after(seq, request.reply, accepted(), out);
            }
            Ok(Some((seq, row))) if row.outcome.is_some() => {
                let outcome = row.outcome.unwrap_or_else(accepted);
                self.reply_after(seq, request.reply, outcome, out);
            }
            // A duplicate takes no room, so it joins in any case.
            Ok(_) => match self.functions.running.get_mut(&request.id) {
                Some(running) if running.digest == digest => {
                    let waiter = (request.reply, request.background);
                    if let Some((oldest, _)) = running.waiters.add(waiter) {
                        refuse(oldest, waits_no_more(), out);
                    }
                }
                Some(_) => refuse_mismatch(request, out),
                None => match self.admit_function(&request) {
                    Ok(()) => self.start_function(request, digest, now, out),
                    Err(error) => refuse(request.reply, error, out),
                },
            },
        }
    }

    fn admit_function(&self, request: &FunctionRequest<R>) -> Result<(), EddyError> {
        if matches!(self.phase, Phase::Draining) && request.chain.depth == 0 {
            return Err(shutting_down());
        }
        let tenant = &request.function.tenant;
        if !self
            .functions
            .held
            .has_room(tenant, Amount::ONE, MOST_UNDER_WAY)
        {
            return Err(EddyError::new(
                ErrorCode::Overloaded,
                "too many durable invocations are under way",
            )
            .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    fn known_invocation<V: StoreView + ?Sized>(
        &self,
        id: MessageId,
        now: Timestamp,
        view: &V,
    ) -> Result<Option<(Seq, InvocationRow)>, EddyError> {
        let found = match self.overlay.invocation(id) {
            Some((seq, row)) => Some((*seq, row.clone())),
            None => view.invocation(id)?.map(|row| (Seq(0), row)),
        };
        Ok(found.filter(|(_, row)| row.expires.is_none_or(|expires| expires > now)))
    }

    fn start_function(
        &mut self,
        request: FunctionRequest<R>,
        digest: Digest,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let id = request.id;
        let start = FunctionStart {
            id,
            function: request.function,
            argument: request.argument,
            attempt: 1,
            deadline: request.deadline,
            chain: request.chain,
        };
        let mut running = Running {
            start: start.clone(),
            digest,
            key: request.key,
            background: request.background,
            queued: now,
            waiters: Waiters::default(),
            pausing: false,
        };
        if !request.background {
            running.waiters.add((request.reply, false));
            self.functions.add(id, running);
            out.push(Action::RunFunction(start));
            return;
        }
        let row = running.row(None, None);
        let changes = vec![Change::InvocationPut { id, row }];
        match self.append(Record { at: now, changes }, false, out) {
            Ok(seq) => {
                self.functions.add(id, running);
                self.gates
                    .hold(seq, Gated::Reply(request.reply, accepted()));
                self.gates.hold(seq, Gated::Function(Box::new(start)));
            }
            Err(error) => refuse(request.reply, error, out),
        }
    }
}

impl<R> Running<R> {
    pub(super) fn row(&self, ended: Option<Timestamp>, outcome: Option<Outcome>) -> InvocationRow {
        let argument = if ended.is_some() {
            Bytes::new()
        } else {
            self.start.argument.clone()
        };
        InvocationRow {
            tenant: self.start.function.tenant.clone(),
            function: self.start.function.name.clone(),
            argument,
            queued: self.queued,
            ended,
            outcome,
            attempts: self.start.attempt,
            key: self.key.clone().map(|key| (key, self.digest)),
            expires: ended.map(|ended| ended.plus(IDEMPOTENCY_WINDOW)),
        }
    }
}

pub(super) fn accepted() -> Outcome {
    Ok(Bytes::from_static(b"null"))
}

pub(super) fn refuse<R>(to: R, error: EddyError, out: &mut Vec<Action<R>>) {
    out.push(Action::Reply {
        to,
        outcome: Err(error),
    });
}

fn refuse_mismatch<R>(request: FunctionRequest<R>, out: &mut Vec<Action<R>>) {
    // A nested one is keyed by its own id.
    let key = match request.key {
        Some(key) if key != request.id.to_string() => DedupeKey::Client(key),
        _ => DedupeKey::Effect(request.id),
    };
    refuse(request.reply, mismatch(&key), out);
}
