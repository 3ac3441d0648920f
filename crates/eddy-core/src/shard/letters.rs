//! Dead letters: deliveries that are given up, and what people do about them. A send is given up
//! by its receiver, in one record with the mark that it need not come again: whatever is lost or
//! comes late, it is either on its way or a dead letter, never both or neither.

use super::{Action, ShardCore};
use crate::effects::Outgoing;
use crate::gates::Gated;
use crate::message::{Message, Operation, Origin};
use crate::outbox::DeliveryResult;
use crate::record::{Change, DeadLetter, DeadLetterId, Record, Sender};
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode, Seq, Timestamp};

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
                self.gates
                    .hold(seq, Gated::Settle(*source, *number, DeliveryResult::Done));
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
            error: shortened(error),
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
        let settled = self.settle_letter(id, redrive, now, view, out);
        match settled {
            Ok(seq) => self.reply_after(seq, reply, Ok(Bytes::from_static(b"null")), out),
            Err(error) => out.push(Action::Reply {
                to: reply,
                outcome: Err(error),
            }),
        }
    }

    fn settle_letter<V: StoreView + ?Sized>(
        &mut self,
        id: DeadLetterId,
        redrive: bool,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<Seq, EddyError> {
        let letter = match view.dead_letter(id)? {
            Some(letter) if !self.redriven.contains_key(&id) => letter,
            _ => {
                return Err(EddyError::new(
                    ErrorCode::UnknownDeadLetter,
                    "there is no such dead letter",
                ));
            }
        };
        let mut changes = vec![Change::DeadLetterDelete { id }];
        let mut staged = Vec::new();
        if redrive {
            let outgoing = Outgoing {
                to: letter.to,
                method: letter.method,
                argument: letter.argument,
            };
            self.check_room(std::slice::from_ref(&outgoing))?;
            staged = self.stage_sends(&letter.from, vec![outgoing], &mut changes);
        }
        let seq = self.append_staged(Record { at: now, changes }, false, staged, out)?;
        self.redriven.insert(id, seq);
        Ok(seq)
    }
}

/// An error short enough that a dead letter fits a record whenever its send did.
fn shortened(mut error: EddyError) -> EddyError {
    const LONGEST: usize = 4096;
    let cut = |text: &mut String| {
        let end = text.floor_char_boundary(LONGEST.min(text.len()));
        text.truncate(end);
    };
    cut(&mut error.detail);
    if let Some(hint) = &mut error.hint {
        cut(hint);
    }
    if let Some(guest) = &mut error.guest {
        cut(&mut guest.name);
        if let Some(stack) = &mut guest.stack {
            cut(stack);
        }
        // Cut JSON text would not be JSON.
        guest.details = guest.details.take().filter(|text| text.len() <= LONGEST);
    }
    error
}
