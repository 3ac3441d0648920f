//! Invocations of functions that must be remembered: keyed, asynchronous, or sending. A plain one
//! never comes here. An invocation lives in the shard of `hash(tenant, id)`.

use super::{Action, Phase, ShardCore, shutting_down};
use crate::effects::Outgoing;
use crate::gates::Gated;
use crate::message::{CallChain, MessageId};
use crate::record::{Change, InvocationRow, Outcome, Record, Sender};
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::limits::{IDEMPOTENCY_WINDOW, MAX_MAILBOX};
use eddy_types::{Digest, EddyError, ErrorCode, FunctionId, RetryPolicy, Seq, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

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
struct Running<R> {
    start: FunctionStart,
    digest: Digest,
    key: Option<String>,
    background: bool,
    queued: Timestamp,
    /// Who waits: for the outcome, or (true) just to hear that it is accepted.
    waiters: Vec<(R, bool)>,
    /// Between two attempts.
    pausing: bool,
}

/// Durable invocations under way.
#[derive(Debug)]
pub(super) struct Functions<R> {
    running: BTreeMap<MessageId, Running<R>>,
    retries: BTreeSet<(Timestamp, MessageId)>,
}

impl<R> Default for Functions<R> {
    fn default() -> Self {
        Self {
            running: BTreeMap::new(),
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

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.retries.first().map(|(wake, _)| *wake)
    }

    pub(super) fn drain(&mut self) -> Vec<R> {
        let running = std::mem::take(&mut self.running);
        running
            .into_values()
            .flat_map(|running| running.waiters)
            .map(|(reply, _)| reply)
            .collect()
    }
}

fn digest_of(function: &FunctionId, argument: &[u8]) -> Digest {
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
        let refused = match &self.phase {
            Phase::Stopped(error) => Some(error.clone()),
            Phase::Draining if request.chain.depth == 0 => Some(shutting_down()),
            _ if self.functions.running.len() >= MAX_MAILBOX => Some(
                EddyError::new(
                    ErrorCode::Overloaded,
                    "too many durable invocations are under way",
                )
                .retry_after(std::time::Duration::from_secs(1)),
            ),
            _ => None,
        };
        if let Some(error) = refused {
            out.push(Action::Reply {
                to: request.reply,
                outcome: Err(error),
            });
            return;
        }
        let digest = digest_of(&request.function, &request.argument);
        match self.known_invocation(request.id, now, view) {
            Err(error) => out.push(Action::Reply {
                to: request.reply,
                outcome: Err(error),
            }),
            Ok(Some((_, row))) if row.key.as_ref().is_some_and(|(_, first)| *first != digest) => {
                self.reply_mismatch(request, out);
            }
            Ok(Some((seq, row))) if request.background => {
                debug_assert_eq!(row.function, request.function.name);
                self.reply_after(seq, request.reply, accepted(), out);
            }
            Ok(Some((
                seq,
                InvocationRow {
                    outcome: Some(outcome),
                    ..
                },
            ))) => {
                self.reply_after(seq, request.reply, outcome, out);
            }
            Ok(_) => self.run_or_join(request, digest, now, out),
        }
    }

    fn reply_mismatch(&mut self, request: FunctionRequest<R>, out: &mut Vec<Action<R>>) {
        let key = crate::record::DedupeKey::Client(request.key.unwrap_or_default());
        let error = crate::dedupe::mismatch(&key);
        out.push(Action::Reply {
            to: request.reply,
            outcome: Err(error),
        });
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

    fn run_or_join(
        &mut self,
        request: FunctionRequest<R>,
        digest: Digest,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        if let Some(running) = self.functions.running.get_mut(&request.id) {
            if running.digest == digest {
                running.waiters.push((request.reply, request.background));
            } else {
                self.reply_mismatch(request, out);
            }
            return;
        }
        let FunctionRequest {
            id,
            function,
            argument,
            key,
            background,
            reply,
            deadline,
            chain,
        } = request;
        let start = FunctionStart {
            id,
            function,
            argument,
            attempt: 1,
            deadline,
            chain,
        };
        let mut running = Running {
            start: start.clone(),
            digest,
            key,
            background,
            queued: now,
            waiters: Vec::new(),
            pausing: false,
        };
        if !background {
            running.waiters.push((reply, false));
            self.functions.running.insert(id, running);
            out.push(Action::RunFunction(start));
            return;
        }
        let changes = vec![Change::InvocationPut {
            id,
            row: running.row(None, None),
        }];
        match self.append(Record { at: now, changes }, false, out) {
            Ok(seq) => {
                self.functions.running.insert(id, running);
                self.gates.hold(seq, Gated::Reply(reply, accepted()));
                self.gates.hold(seq, Gated::Function(Box::new(start)));
            }
            Err(error) => out.push(Action::Reply {
                to: reply,
                outcome: Err(error),
            }),
        }
    }

    /// A durable invocation's attempt has ended.
    pub fn function_ended(
        &mut self,
        id: MessageId,
        end: FunctionEnd,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(running) = self.functions.running.get_mut(&id) else {
            return;
        };
        match end {
            FunctionEnd::Returned(outcome, sends) => {
                self.finish_function(id, outcome, sends, now, out)
            }
            FunctionEnd::Failed(error, _) if error.code == ErrorCode::ShuttingDown => {
                // A background one goes on when the node starts again.
                self.fail_function(id, error, out);
            }
            FunctionEnd::Failed(error, retries) if running.background => {
                if error.code.is_retryable() && running.start.attempt < retries.attempts {
                    let wake = now.plus(retries.pause_after(running.start.attempt));
                    running.start.attempt += 1;
                    running.pausing = true;
                    self.functions.retries.insert((wake, id));
                } else {
                    self.finish_function(id, Err(error), Vec::new(), now, out);
                }
            }
            // Nothing is recorded, so the client may try again.
            FunctionEnd::Failed(error, _) => self.fail_function(id, error, out),
        }
    }

    fn fail_function(&mut self, id: MessageId, error: EddyError, out: &mut Vec<Action<R>>) {
        let Some(running) = self.functions.running.remove(&id) else {
            return;
        };
        for (to, _) in running.waiters {
            out.push(Action::Reply {
                to,
                outcome: Err(error.clone()),
            });
        }
    }

    fn finish_function(
        &mut self,
        id: MessageId,
        outcome: Outcome,
        sends: Vec<Outgoing>,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(running) = self.functions.running.remove(&id) else {
            return;
        };
        let (mut outcome, mut recorded) = (outcome, Ok(Seq(0)));
        for _ in 0..2 {
            // An error discards what was to be sent.
            let sends = if outcome.is_ok() {
                sends.clone()
            } else {
                Vec::new()
            };
            recorded = self.record_end(id, &running, &outcome, sends, now, out);
            match &recorded {
                // What cannot be recorded is the error that a background one ends with: without
                // an end it would run again at each start of the node.
                Err(error) if running.background && outcome.is_ok() => outcome = Err(error.clone()),
                _ => break,
            }
        }
        for (to, just_accepted) in running.waiters {
            match &recorded {
                Ok(seq) if just_accepted => self.reply_after(*seq, to, accepted(), out),
                Ok(seq) => self.reply_after(*seq, to, outcome.clone(), out),
                Err(error) => out.push(Action::Reply {
                    to,
                    outcome: Err(error.clone()),
                }),
            }
        }
    }

    fn record_end(
        &mut self,
        id: MessageId,
        running: &Running<R>,
        outcome: &Outcome,
        sends: Vec<Outgoing>,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) -> Result<Seq, EddyError> {
        self.check_room(sends.len())?;
        let row = running.row(Some(now), Some(outcome.clone()));
        let mut changes = vec![Change::InvocationPut { id, row }];
        let staged = self.stage_sends(&Sender::Invocation(id), sends, &mut changes);
        let appended = self.append(Record { at: now, changes }, false, out);
        if appended.is_err() {
            self.unstage(staged);
        }
        appended
    }

    /// A plain invocation has ended and made sends: they leave, and its reply, when they are durable.
    /// Those of one that ended with an error do not leave.
    pub fn commit_sends(&mut self, plain: PlainSends<R>, now: Timestamp, out: &mut Vec<Action<R>>) {
        let PlainSends {
            id,
            sends,
            outcome,
            reply,
        } = plain;
        let checked = outcome.and_then(|result| self.check_room(sends.len()).map(|()| result));
        let Ok(result) = checked else {
            out.push(Action::Reply {
                to: reply,
                outcome: checked,
            });
            return;
        };
        let mut changes = Vec::with_capacity(sends.len());
        let staged = self.stage_sends(&Sender::Invocation(id), sends, &mut changes);
        match self.append(Record { at: now, changes }, false, out) {
            Ok(seq) => self.reply_after(seq, reply, Ok(result), out),
            Err(error) => {
                self.unstage(staged);
                out.push(Action::Reply {
                    to: reply,
                    outcome: Err(error),
                });
            }
        }
    }

    /// Takes background invocations up again that a stop or crash interrupted.
    pub(super) fn resume_functions(
        &mut self,
        rows: Vec<(MessageId, InvocationRow)>,
        out: &mut Vec<Action<R>>,
    ) {
        for (id, row) in rows {
            let function = FunctionId {
                tenant: row.tenant,
                name: row.function,
            };
            let digest = digest_of(&function, &row.argument);
            let start = FunctionStart {
                id,
                function,
                argument: row.argument,
                attempt: row.attempts.max(1),
                deadline: None,
                chain: CallChain::root(row.queued),
            };
            let running = Running {
                start: start.clone(),
                digest,
                key: row.key.map(|(key, _)| key),
                background: true,
                queued: row.queued,
                waiters: Vec::new(),
                pausing: false,
            };
            self.functions.running.insert(id, running);
            out.push(Action::RunFunction(start));
        }
    }

    pub(super) fn retry_functions(&mut self, now: Timestamp, out: &mut Vec<Action<R>>) {
        while let Some((wake, id)) = self.functions.retries.first().copied() {
            if wake > now {
                return;
            }
            self.functions.retries.pop_first();
            if let Some(running) = self.functions.running.get_mut(&id) {
                running.pausing = false;
                out.push(Action::RunFunction(running.start.clone()));
            }
        }
    }
}

impl<R> Running<R> {
    fn row(&self, ended: Option<Timestamp>, outcome: Option<Outcome>) -> InvocationRow {
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

fn accepted() -> Outcome {
    Ok(Bytes::from_static(b"null"))
}
