//! Durable invocations end, are tried again, and are taken up after a restart.

use super::functions::{Running, accepted, digest_of, refuse};
use super::turn::counts_as_attempt;
use super::{Action, FunctionEnd, FunctionStart, PlainSends, ShardCore};
use crate::dedupe::Waiters;
use crate::effects::Outgoing;
use crate::message::{CallChain, MessageId};
use crate::record::{Change, InvocationRow, Outcome, Record, Sender};
use eddy_types::{EddyError, ErrorCode, FunctionId, RetryPolicy, Seq, Timestamp};
use std::time::Duration;

impl<R> ShardCore<R> {
    /// A durable invocation's attempt has ended.
    pub fn function_ended(
        &mut self,
        id: MessageId,
        end: FunctionEnd,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        match end {
            // A background one goes on when the node starts again.
            FunctionEnd::Failed(error, _) if error.code == ErrorCode::ShuttingDown => {
                self.fail_function(id, error, out);
            }
            FunctionEnd::Failed(error, retries) => {
                self.retry_function(id, error, retries, now, out);
            }
            // It only passes on that something could not be done just now.
            FunctionEnd::Returned(Err(error), _) if error.code.is_retryable() => {
                self.retry_function(id, error, RetryPolicy::default(), now, out);
            }
            FunctionEnd::Returned(outcome, sends) => {
                self.finish_function(id, outcome, sends, now, out);
            }
        }
    }

    /// A failed attempt. Of one that somebody waits for nothing is recorded, so that its caller
    /// may try again; one in the background is tried again here.
    fn retry_function(
        &mut self,
        id: MessageId,
        error: EddyError,
        retries: RetryPolicy,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(running) = self.functions.running.get_mut(&id) else {
            return;
        };
        if !running.background {
            return self.fail_function(id, error, out);
        }
        // No room for it is no attempt.
        let counts = counts_as_attempt(&error) && error.code != ErrorCode::ConcurrencyLimit;
        if counts && (!error.code.is_retryable() || running.start.attempt >= retries.attempts) {
            return self.finish_function(id, Err(error), Vec::new(), now, out);
        }
        let pause = if counts {
            let pause = retries.pause_after(running.start.attempt);
            running.start.attempt += 1;
            pause
        } else {
            Duration::from_secs(1)
        };
        running.pausing = true;
        out.push(Action::Ended { id, outcome: None });
        self.functions.retries.insert((now.plus(pause), id));
    }

    fn fail_function(&mut self, id: MessageId, error: EddyError, out: &mut Vec<Action<R>>) {
        let Some(running) = self.functions.remove(id) else {
            return;
        };
        for (to, _) in running.waiters {
            out.push(Action::Reply {
                to,
                outcome: Err(error.clone()),
            });
        }
        out.push(Action::Ended {
            id,
            outcome: Some(Err(error)),
        });
    }

    fn finish_function(
        &mut self,
        id: MessageId,
        outcome: Outcome,
        sends: Vec<Outgoing>,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(running) = self.functions.running.get(&id) else {
            return;
        };
        let background = running.background;
        match self.record_end(id, &outcome, sends, now, out) {
            Ok(seq) => self.answer_function(id, seq, &outcome, out),
            Err(error) if background && self.stopped().is_none() => {
                if error.code.is_retryable() {
                    // The outbox is full: it runs again when there may be room.
                    self.retry_function(id, error, RetryPolicy::default(), now, out);
                } else {
                    // Without an end it would run again at each start of the node.
                    self.finish_function(id, Err(error), Vec::new(), now, out);
                }
            }
            Err(error) => self.fail_function(id, error, out),
        }
    }

    fn answer_function(
        &mut self,
        id: MessageId,
        until: Seq,
        outcome: &Outcome,
        out: &mut Vec<Action<R>>,
    ) {
        let Some(running) = self.functions.remove(id) else {
            return;
        };
        self.ended_after(until, id, outcome.clone(), out);
        for (to, just_accepted) in running.waiters {
            let outcome = if just_accepted {
                accepted()
            } else {
                outcome.clone()
            };
            self.reply_after(until, to, outcome, out);
        }
    }

    /// Records how an invocation ended, with its sends; an error discards those.
    fn record_end(
        &mut self,
        id: MessageId,
        outcome: &Outcome,
        mut sends: Vec<Outgoing>,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) -> Result<Seq, EddyError> {
        if outcome.is_err() {
            sends.clear();
        }
        self.check_room(&sends)?;
        let running = self.functions.running.get(&id);
        let row = running.map(|running| running.row(Some(now), Some(outcome.clone())));
        let put = row.map(|row| Change::InvocationPut { id, row });
        let mut changes: Vec<_> = put.into_iter().collect();
        let staged = self.stage_sends(&Sender::Invocation(id), sends, &mut changes);
        self.append_staged(Record { at: now, changes }, false, staged, out)
    }

    /// A plain invocation has ended and made sends: they leave, and its reply, when they are
    /// durable. Those of one that ended with an error do not leave.
    pub fn commit_sends(&mut self, plain: PlainSends<R>, now: Timestamp, out: &mut Vec<Action<R>>) {
        let PlainSends {
            id,
            sends,
            outcome,
            reply: to,
        } = plain;
        if outcome.is_err() || sends.is_empty() {
            out.push(Action::Reply { to, outcome });
            return;
        }
        let committed = self.check_room(&sends).and_then(|()| {
            let mut changes = Vec::with_capacity(sends.len());
            let staged = self.stage_sends(&Sender::Invocation(id), sends, &mut changes);
            self.append_staged(Record { at: now, changes }, false, staged, out)
        });
        match committed {
            Ok(seq) => self.reply_after(seq, to, outcome, out),
            Err(error) => refuse(to, error, out),
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
                waiters: Waiters::default(),
                pausing: false,
            };
            self.functions.add(id, running);
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
