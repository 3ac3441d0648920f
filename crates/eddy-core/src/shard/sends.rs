//! Sends leave, are settled, and are tried again.

use super::{Action, Mutation, ShardCore};
use crate::outbox::DeliveryResult;
use crate::record::Record;
use eddy_types::{Seq, ShardId, Timestamp};
use std::time::Duration;

/// How long news of settled sends waits for a turn to carry it.
const SETTLED_NEWS_WITHIN: Duration = Duration::from_millis(200);

impl<R> ShardCore<R> {
    pub(super) fn release_sends(&mut self, now: Timestamp, out: &mut Vec<Action<R>>) {
        let until = if self.mutated(Mutation::SendBeforeCommit) {
            Seq(u64::MAX)
        } else {
            self.durable
        };
        let released = self.outbox.release(until, now);
        out.extend(
            released
                .into_iter()
                .map(|delivery| Action::Deliver(Box::new(delivery))),
        );
    }

    /// A delivery of one of this shard's sends ended.
    pub fn delivery_ended(
        &mut self,
        dest: ShardId,
        seq: u64,
        result: DeliveryResult,
        now: Timestamp,
        out: &mut Vec<Action<R>>,
    ) {
        if self.stopped().is_some() {
            return;
        }
        let at = (dest, seq);
        match result {
            DeliveryResult::Done => self.settle(at, now, out),
            DeliveryResult::Refused(_) => self.outbox.refused(at, now),
            DeliveryResult::Failed { retries, .. } => self.outbox.fail(at, retries, now),
        }
    }

    fn settle(&mut self, at: (ShardId, u64), now: Timestamp, out: &mut Vec<Action<R>>) {
        let next = self.outbox.settle(at, self.durable, now);
        out.extend(next.map(|delivery| Action::Deliver(Box::new(delivery))));
        if self.outbox.has_settled() && self.housekeeping.is_none() {
            self.housekeeping = Some(now.plus(SETTLED_NEWS_WITHIN));
        }
    }

    /// Writes down settled sends when no turn has carried the news.
    pub(super) fn keep_house(&mut self, now: Timestamp, out: &mut Vec<Action<R>>) {
        if self.housekeeping.is_none_or(|due| due > now) {
            return;
        }
        self.housekeeping = None;
        while self.outbox.has_settled() {
            let changes = Vec::new();
            if self.append(Record { at: now, changes }, true, out).is_err() {
                return; // the shard has stopped
            }
        }
    }
}
