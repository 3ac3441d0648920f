//! Memory that many instances share a limit of: those of one tenant. Each counts for what it may have
//! touched, from its start until it is dropped.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The stack in linear memory that Rust's and other toolchains set aside, in bytes: next to nothing
/// of it is ever touched.
const STACK: usize = 1 << 20;
/// The least that an instance counts for, in bytes: about what a small Rust guest and its store take.
const LEAST_CHARGE: usize = 64 << 10;

/// What an instance of a Python runtime writes to of the memory that it begins with, in bytes, and `STACK`.
const TOUCHED: usize = (5 << 19) + STACK;
/// The most that an instance does not count for because all instances of its code have it in common.
const MOST_SHARED: usize = 64 << 20;

/// How much of the memory that an instance of a Python runtime begins with all of them share until they
/// write to it, for the most part for ever. Both in bytes.
pub(crate) fn shared_of(initial: usize) -> usize {
    initial.saturating_sub(TOUCHED).min(MOST_SHARED)
}

/// What an instance with so much linear memory counts for, when so much of it is shared, and with such
/// tables. All in bytes.
pub(crate) const fn charge_of(linear: usize, shared: usize, tables: usize) -> usize {
    let charge = linear
        .saturating_sub(shared)
        .saturating_sub(STACK)
        .saturating_add(tables);
    if charge > LEAST_CHARGE {
        charge
    } else {
        LEAST_CHARGE
    }
}

/// The memory of instances that share a limit, and of what else is taken of it. It may be over it when the limit was
/// lowered.
#[derive(Debug)]
pub struct MemoryAccount {
    used: AtomicUsize,
    limit: AtomicUsize,
    instances: AtomicUsize,
}

impl MemoryAccount {
    /// An account with a limit in bytes; without one it only counts.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Self {
        let account = Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
        };
        account.set_limit(limit);
        account
    }

    /// Changes the limit, for what comes.
    pub fn set_limit(&self, limit: Option<u64>) {
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        self.limit.store(limit, Relaxed);
    }

    /// The limit, in bytes, if there is one.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        let limit = self.limit.load(Relaxed);
        (limit < usize::MAX).then_some(limit)
    }

    /// What all its instances count for, and what else was taken, in bytes.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// How many instances' room is taken: one with many memories or tables takes that of several, see
    /// [`crate::Code::places`].
    #[must_use]
    pub fn instances(&self) -> usize {
        self.instances.load(Relaxed)
    }

    /// An instance begins that takes the room of so many.
    pub(crate) fn enter(&self, places: usize) {
        self.instances.fetch_add(places, Relaxed);
    }

    /// Such an instance is gone.
    pub(crate) fn leave(&self, places: usize) {
        self.instances.fetch_sub(places, Relaxed);
    }

    /// Takes `bytes` if they are there; whether they were.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        let more = |used: usize| {
            let wanted = used.saturating_add(bytes);
            (bytes == 0 || wanted <= limit).then_some(wanted)
        };
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives back `bytes` that were taken.
    pub fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}
