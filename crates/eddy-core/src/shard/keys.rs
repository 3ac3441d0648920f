//! Duplicates of keyed requests: answered ones get the same answer, those under way are joined.

use super::functions::refuse;
use super::{Action, Mutation, ShardCore};
use crate::dedupe::{Joined, mismatch, waits_no_more};
use crate::message::{Message, Origin};
use crate::record::{DedupeKey, DedupeScope, Outcome};
use crate::view::StoreView;
use eddy_types::{Digest, EddyError, Seq, Timestamp};

impl<R> ShardCore<R> {
    /// Deals with a message that repeats an earlier one. Answers with a message that does not.
    pub(super) fn deduplicate<V: StoreView + ?Sized>(
        &mut self,
        message: Message<R>,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Option<Message<R>> {
        let Origin::Request { key: Some(key), .. } = &message.origin else {
            return Some(message);
        };
        let (key, caller) = (key.clone(), message.chain.caller);
        let scope = DedupeScope::Agent(message.to.clone());
        let digest = message.operation.digest(&message.to);
        match self.answered(&scope, &key, digest, now, view) {
            Ok(None) => {}
            Ok(Some((until, outcome))) => {
                if let Some(reply) = message.waiter() {
                    self.reply_after(until, reply, outcome, out);
                }
                return None;
            }
            Err(error) => {
                reply_now(message, error, out);
                return None;
            }
        }
        match self.joins.join(&scope, &key, digest, message) {
            Joined::First(message) => return Some(message),
            Joined::Mismatch(message) => reply_now(message, mismatch(&key), out),
            // It waits for the first one as if it had queued itself.
            Joined::Waits(to, id, oldest) => {
                if let Some(oldest) = oldest {
                    refuse(oldest, waits_no_more(), out);
                }
                if let Some(caller) = caller {
                    self.start_probe(caller, to, id, out);
                }
            }
        }
        None
    }

    /// A keyed request is taken on: from now on, duplicates join it.
    pub(super) fn expect_duplicates(&mut self, message: &Message<R>) {
        if let Origin::Request { key: Some(key), .. } = &message.origin {
            let scope = DedupeScope::Agent(message.to.clone());
            let digest = message.operation.digest(&message.to);
            self.joins.begin(scope, key.clone(), digest);
        }
    }

    /// The remembered answer of a key, and the record that must be durable before it is given.
    fn answered<V: StoreView + ?Sized>(
        &self,
        scope: &DedupeScope,
        key: &DedupeKey,
        digest: Digest,
        now: Timestamp,
        view: &V,
    ) -> Result<Option<(Seq, Outcome)>, EddyError> {
        if self.mutated(Mutation::DedupeForgotten) {
            return Ok(None);
        }
        let (until, row) = match self.overlay.dedupe(scope, key) {
            Some((seq, row)) => (*seq, row.clone()),
            None => match view.dedupe(scope, key)? {
                Some(row) => (Seq(0), row),
                None => return Ok(None),
            },
        };
        if row.expires <= now {
            return Ok(None);
        }
        if row.digest != digest {
            return Err(mismatch(key));
        }
        Ok(Some((until, row.outcome)))
    }
}

fn reply_now<R>(message: Message<R>, error: EddyError, out: &mut Vec<Action<R>>) {
    out.extend(message.waiter().map(|to| Action::Reply {
        to,
        outcome: Err(error),
    }));
}
