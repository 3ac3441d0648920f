//! Requests with a key that are waiting or running, and the duplicates that joined them. Answered
//! ones are in the overlay and the store.

use crate::record::{DedupeKey, DedupeScope};
use eddy_types::{Digest, EddyError, ErrorCode};
use std::collections::BTreeMap;

#[derive(Debug)]
struct Join<R> {
    digest: Digest,
    waiters: Vec<R>,
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
    /// It is the first of its key: run it, then call `finish`.
    First(R),
    /// It waits for the first one.
    Waits,
    /// The key belongs to another request.
    Mismatch(R),
}

impl<R> Joins<R> {
    pub(crate) fn join(
        &mut self,
        scope: &DedupeScope,
        key: &DedupeKey,
        digest: Digest,
        reply: R,
    ) -> Joined<R> {
        let at = (scope.clone(), key.clone());
        match self.under_way.get_mut(&at) {
            Some(join) if join.digest == digest => {
                join.waiters.push(reply);
                Joined::Waits
            }
            Some(_) => Joined::Mismatch(reply),
            None => {
                self.under_way.insert(
                    at,
                    Join {
                        digest,
                        waiters: Vec::new(),
                    },
                );
                Joined::First(reply)
            }
        }
    }

    /// The request has ended; answers with those who joined it.
    pub(crate) fn finish(&mut self, scope: &DedupeScope, key: &DedupeKey) -> Vec<R> {
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
