//! Requests with a key that are waiting or running, and the duplicates that joined them. Answered
//! ones are in the overlay and the store.

use crate::message::{Message, MessageId};
use crate::record::{DedupeKey, DedupeScope};
use eddy_types::limits::MAX_MAILBOX;
use eddy_types::{AgentId, Digest, EddyError, ErrorCode};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Debug)]
struct Join<R> {
    digest: Digest,
    waiters: Waiters<R>,
}

/// Duplicates that wait for the same answer, at most so many as messages wait for one agent.
#[derive(Debug)]
pub(crate) struct Waiters<W>(VecDeque<W>);

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<W> Waiters<W> {
    /// One more waits. Answers with the one that is to wait no more: who waits longest is most likely gone.
    pub(crate) fn add(&mut self, waiter: W) -> Option<W> {
        let oldest = (self.0.len() >= MAX_MAILBOX).then(|| self.0.pop_front());
        self.0.push_back(waiter);
        oldest.flatten()
    }
}

/// What the one of them is told that is to wait no more.
pub(crate) fn waits_no_more() -> EddyError {
    let detail = format!("{MAX_MAILBOX} later requests with the same key wait for the same answer");
    EddyError::new(ErrorCode::Overloaded, detail)
        .hint("Wait for the answer to a request before you repeat it.")
        .retry_after(Duration::from_secs(1))
}

impl<W> IntoIterator for Waiters<W> {
    type Item = W;
    type IntoIter = std::collections::vec_deque::IntoIter<W>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Keys under way.
#[derive(Debug)]
pub(crate) struct Joins<R> {
    /// In order, so that a stop answers in the same order each time.
    under_way: BTreeMap<(DedupeScope, DedupeKey), Join<R>>,
}

impl<R> Default for Joins<R> {
    fn default() -> Self {
        Self {
            under_way: BTreeMap::new(),
        }
    }
}

/// What to do with a keyed request.
pub(crate) enum Joined<R> {
    /// It is the first of its key.
    First(Message<R>),
    /// It waits for the first one: for whose sake, and for which message; and who waits no more.
    Waits(AgentId, MessageId, Option<R>),
    /// The key belongs to another request.
    Mismatch(Message<R>),
}

impl<R> Joins<R> {
    /// Lets a request wait for the one under way with its key, if there is one.
    pub(crate) fn join(
        &mut self,
        scope: &DedupeScope,
        key: &DedupeKey,
        digest: Digest,
        message: Message<R>,
    ) -> Joined<R> {
        let Some(join) = self.under_way.get_mut(&(scope.clone(), key.clone())) else {
            return Joined::First(message);
        };
        if join.digest != digest {
            return Joined::Mismatch(message);
        }
        let (to, id) = (message.to.clone(), message.id);
        let oldest = message.waiter().and_then(|one| join.waiters.add(one));
        Joined::Waits(to, id, oldest)
    }

    /// The first request of a key is taken on; `finish` is to be called when it has ended.
    pub(crate) fn begin(&mut self, scope: DedupeScope, key: DedupeKey, digest: Digest) {
        let waiters = Waiters::default();
        let first = self
            .under_way
            .insert((scope, key), Join { digest, waiters });
        debug_assert!(first.is_none(), "a key is begun once");
    }

    /// The request has ended; answers with those who joined it.
    pub(crate) fn finish(&mut self, scope: &DedupeScope, key: &DedupeKey) -> Waiters<R> {
        let at = (scope.clone(), key.clone());
        self.under_way
            .remove(&at)
            .map(|join| join.waiters)
            .unwrap_or_default()
    }

    /// Everybody who joined something; for a shard that stops.
    pub(crate) fn drain(&mut self) -> Vec<R> {
        std::mem::take(&mut self.under_way)
            .into_values()
            .flat_map(|join| join.waiters)
            .collect()
    }
}

/// The error for a key that was used for something else.
pub(crate) fn mismatch(key: &DedupeKey) -> EddyError {
    match key {
        DedupeKey::Client(key) => EddyError::new(
            ErrorCode::IdempotencyMismatch,
            format!("the idempotency key {key:?} was used for another request"),
        )
        .hint("Use a new key for a new request; repeat a request with the same target, method and body."),
        DedupeKey::Effect(_) => EddyError::new(
            ErrorCode::CallDiverged,
            "a repeated turn asked for something else than the first time; nothing was run",
        )
        .hint("Make the order and the arguments of calls depend on state and argument only, not on time or chance."),
    }
}
