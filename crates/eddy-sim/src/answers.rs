//! Answers reach clients, or get lost; what they may and may not say.

use crate::cast::Kind;
use crate::clients::Known;
use crate::node::{ReplyTo, Waiter};
use crate::plan::Target;
use crate::world::{Broken, World};
use eddy_core::{Outcome, StoreView};
use eddy_types::ErrorCode;

/// The count, if it tells one, and the version that an answer tells of.
pub(crate) fn versions_of(outcome: &Outcome) -> Option<(Option<i64>, i64)> {
    match outcome {
        Ok(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?;
            let (n, version) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
            Some((Some(n.parse().ok()?), version.parse().ok()?))
        }
        Err(error) if error.code == ErrorCode::GuestError => {
            let (version, _) = error.detail.split_once(": ")?;
            Some((None, version.parse().ok()?))
        }
        Err(_) => None,
    }
}

/// Whether a repetition must get the same answer.
fn is_final(outcome: &Outcome) -> bool {
    match outcome {
        Ok(_) => true,
        Err(error) => error.code == ErrorCode::GuestError,
    }
}

impl World {
    /// An answer arrives for an operation.
    pub(crate) fn client_reply(
        &mut self,
        op: usize,
        other_body: bool,
        to: ReplyTo,
        outcome: Outcome,
    ) -> Result<(), Broken> {
        let seen = self.forget_request(to);
        if self.may_be_lost(op) {
            // A key answered before its flush may be forgotten by a crash.
            return self.relaxed_reply(op, seen, outcome);
        }
        if other_body {
            return match is_final(&outcome) {
                true => Err(format!(
                    "operation {op}: its key was used with another body"
                )),
                false => Ok(()),
            };
        }
        if !is_final(&outcome) {
            return self.client_refused(op, seen, &outcome);
        }
        self.check_durable(op, &outcome)?;
        let known = &mut self.ops[op];
        match &known.result {
            Some(first) if *first != outcome => {
                return Err(format!("operation {op} gets {outcome:?} after {first:?}"));
            }
            None if seen && known.known == Known::Open => {
                known.result = Some(outcome);
                known.known = Known::Answered;
                known.ended = self.step;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the answers to an operation may be undone by a crash that has happened.
    fn may_be_lost(&self, op: usize) -> bool {
        let target = self.ops[op].target;
        let soft = matches!(target, Target::Run(who) if self.cast.kind(who) == Kind::Soft);
        soft && self.was_disrupted()
    }

    fn relaxed_reply(&mut self, op: usize, seen: bool, outcome: Outcome) -> Result<(), Broken> {
        let (op, now) = (&mut self.ops[op], self.step);
        if seen && op.known == Known::Open && is_final(&outcome) {
            (op.known, op.result, op.ended) = (Known::Unknown, Some(outcome), now);
        }
        Ok(())
    }

    fn client_refused(&mut self, op: usize, seen: bool, outcome: &Outcome) -> Result<(), Broken> {
        let code = outcome
            .as_ref()
            .err()
            .map_or(ErrorCode::GuestError, |error| error.code);
        if matches!(
            code,
            ErrorCode::IdempotencyMismatch | ErrorCode::CallDiverged
        ) {
            return Err(format!("operation {op} is refused with {code:?}"));
        }
        let op = &mut self.ops[op];
        if op.key.is_none() && seen && op.known == Known::Open {
            let unclear = matches!(
                code,
                ErrorCode::JournalFailed | ErrorCode::ShuttingDown | ErrorCode::StoreFailed
            );
            op.known = if unclear {
                Known::Unknown
            } else {
                Known::Failed
            };
        }
        Ok(())
    }

    fn check_durable(&self, op: usize, outcome: &Outcome) -> Result<(), Broken> {
        let op = &self.ops[op];
        let row = || {
            let shard = self.function_shard(op.id);
            self.disk.shards[shard].durable.invocation(op.id)
        };
        let durable = match op.target {
            Target::Run(who) | Target::Value(who) => return self.check_answer(who, outcome),
            Target::Background => matches!(row(), Ok(Some(_))),
            Target::Function if op.key.is_some() => {
                matches!(row(), Ok(Some(row)) if row.outcome.is_some())
            }
            Target::Function | Target::Delete(_) | Target::Import(..) => true,
        };
        if durable {
            return Ok(());
        }
        Err(format!(
            "invocation {} is answered before it is durable",
            op.id
        ))
    }

    /// The connection of every request of the present node breaks.
    pub(crate) fn lose_clients(&mut self) {
        for (reply, waiter) in std::mem::take(&mut self.node.waiting) {
            let Waiter::Client { op, .. } = waiter else {
                continue;
            };
            let seen = self.forget_request(reply);
            let op = &mut self.ops[op];
            if seen && op.key.is_none() && op.known == Known::Open {
                op.known = Known::Unknown;
            }
        }
    }

    /// Whether the client still waited for this request.
    fn forget_request(&mut self, reply: ReplyTo) -> bool {
        self.clients.iter_mut().any(|client| {
            let before = client.outstanding.len();
            client.outstanding.retain(|other| *other != reply);
            client.outstanding.len() < before
        })
    }
}
