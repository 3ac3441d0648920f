//! Dead letters: deliveries that are given up, and what people do about them. A send is given up
//! by its receiver, in one record with the mark that it need not come again: whatever is lost or
//! comes late, it is either on its way or a dead letter, never both or neither.

use super::{Action, ShardCore};
use crate::gates::Gated;
use crate::message::{Message, Operation, Origin};
use crate::record::{Change, DeadLetter, DeadLetterId, Record, SendRow, Sender};
use crate::view::StoreView;
use eddy_types::{EddyError, ErrorCode, Timestamp};

impl<R> ShardCore<R> {
    /// A send failed for the last time. `false` when even that could not be written down.
    pub(super) fn bury_send(
        &mut self,
        message: &Message<R>,
        error: &EddyError,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) -> bool {
        let Origin::Send {
            source,
            seq: number,
            attempt,
            from,
            ..
        } = &message.origin
        else {
            return false;
        };
        let letter = self.letter(message, from.clone(), None, error.clone(), *attempt, now);
        let mut changes: Vec<Change> = letter.into_iter().collect();
        self.origin_changes(message, &Err(error.clone()), now, &mut changes);
        match self.append(Record { at: now, changes }, false, out) {
            Ok(seq) => {
                self.gates.hold(seq, Gated::Settle(*source, *number));
                true
            }
            Err(_) => false,
        }
    }

    fn letter(
        &self,
        message: &Message<R>,
        from: Sender,
        timer: Option<String>,
        error: EddyError,
        attempts: u32,
        now: Timestamp,
    ) -> Option<Change> {
        let Operation::Method {
            method, argument, ..
        } = &message.operation
        else {
            return None;
        };
        let letter = DeadLetter {
            from,
            to: message.to.clone(),
            method: method.clone(),
            argument: argument.clone(),
            timer,
            error,
            attempts,
            at: now,
        };
        let id = DeadLetterId {
            seq: self.next,
            index: 0,
        };
        Some(Change::DeadLetterPut { id, letter })
    }

    pub(super) fn bury_timer(
        &mut self,
        message: &Message<R>,
        name: String,
        error: EddyError,
        attempts: u32,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        let agent = message.to.clone();
        let from = Sender::Agent(agent.clone());
        let Some(letter) = self.letter(message, from, Some(name.clone()), error, attempts, now)
        else {
            return;
        };
        let changes = vec![letter, Change::TimerDelete { agent, name }];
        let _ = self.append(Record { at: now, changes }, false, out);
    }

    /// Sends a dead letter again, or forgets it. `reply` is answered once that is durable.
    pub fn settle_dead_letter<V: StoreView + ?Sized>(
        &mut self,
        id: DeadLetterId,
        redrive: bool,
        reply: R,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) {
        let letter = match view.dead_letter(id) {
            Ok(Some(letter)) if self.redriven.insert(id) => letter,
            Ok(_) => {
                let error =
                    EddyError::new(ErrorCode::UnknownDeadLetter, "there is no such dead letter");
                out.push(Action::Reply {
                    to: reply,
                    outcome: Err(error),
                });
                return;
            }
            Err(error) => {
                out.push(Action::Reply {
                    to: reply,
                    outcome: Err(error),
                });
                return;
            }
        };
        let mut changes = vec![Change::DeadLetterDelete { id }];
        if redrive {
            let send = SendRow {
                from: letter.from,
                to: letter.to,
                method: letter.method,
                argument: letter.argument,
            };
            let dest = self.map.shard_of_agent(&send.to);
            let seq = self.outbox.allocate(dest);
            changes.push(Change::OutboxPut { dest, seq, send });
        }
        match self.append(Record { at: now, changes }, false, out) {
            Ok(seq) => self.reply_after(seq, reply, Ok(bytes::Bytes::from_static(b"null")), out),
            Err(error) => {
                self.redriven.remove(&id);
                out.push(Action::Reply {
                    to: reply,
                    outcome: Err(error),
                });
            }
        }
    }
}
