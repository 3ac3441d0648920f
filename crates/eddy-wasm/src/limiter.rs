//! The memory limits of an instance, as wasmtime asks for them: its own, and the one that it shares.

use crate::account::{MemoryAccount, charge_of, shared_of};
use crate::fault::Fault;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// Table elements one table may have: function pointers, so the size of the code bounds it.
const MAX_TABLE_ELEMENTS: usize = 20_000;
/// What an element takes, in bytes.
const ELEMENT: usize = size_of::<usize>();
/// Core instances, memories and tables of one component: the module, its adapters and shims. A Python
/// runtime has 14 core instances.
pub(crate) const MAX_PARTS: usize = 32;

/// Why a growth was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The instance's own limit, in bytes.
    Own(usize),
    /// The limit that it shares, in bytes.
    Shared(usize),
}

impl Denied {
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Own(limit) => Fault::MemoryLimit { limit },
            Self::Shared(limit) => Fault::SharedMemoryLimit { limit },
        }
    }
}

/// Counts the linear memory and the tables of one instance and says no beyond the limits.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: usize,
    used: usize,
    last_growth: usize,
    tables: usize,
    last_table_growth: usize,
    denied: Option<Denied>,
    account: Option<Arc<MemoryAccount>>,
    /// How many instances' room it takes.
    places: usize,
    /// What the account was charged.
    charged: usize,
    /// Of a Python runtime: what it begins with is shared.
    shares: bool,
    started: bool,
    shared: usize,
}

impl Limiter {
    /// `shares` says that instances have in common most of what they begin with.
    pub(crate) fn new(
        limit: usize,
        account: Option<Arc<MemoryAccount>>,
        places: usize,
        shares: bool,
    ) -> Self {
        if let Some(account) = &account {
            account.enter(places);
        }
        Self {
            limit,
            used: 0,
            last_growth: 0,
            tables: 0,
            last_table_growth: 0,
            denied: None,
            account,
            places,
            charged: 0,
            shares,
            started: false,
            shared: 0,
        }
    }

    /// The instance has all that it begins with.
    pub(crate) fn started(&mut self) {
        self.started = true;
    }

    /// What it counts for, in bytes.
    pub(crate) fn counts_for(&self) -> usize {
        charge_of(self.used, self.shared, self.tables)
    }

    /// How many instances' room it takes.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// Linear memory, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Forgets that a growth was denied: a new turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.denied = None;
    }

    /// Why a growth was denied in this turn, if one was.
    pub(crate) fn denied(&self) -> Option<Denied> {
        self.denied
    }

    /// Charges the account for so many bytes of linear memory and of tables; notes it when they are not there.
    fn charge(&mut self, linear: usize, tables: usize) -> bool {
        if self.shares && !self.started {
            self.shared = shared_of(linear);
        }
        let Some(account) = &self.account else {
            return true;
        };
        let wanted = charge_of(linear, self.shared, tables);
        if !account.take(wanted.saturating_sub(self.charged)) {
            self.denied = Some(Denied::Shared(account.limit().unwrap_or_default()));
            return false;
        }
        self.charged = self.charged.max(wanted);
        true
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give(self.charged);
            account.leave(self.places);
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_growth = 0;
        let growth = desired.saturating_sub(current);
        let total = self.used.saturating_add(growth);
        if total > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.denied = Some(Denied::Own(self.limit));
            return Ok(false);
        }
        if !self.charge(total, self.tables) {
            return Ok(false);
        }
        self.used = total;
        self.last_growth = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // What the account was charged stays so until the instance goes.
        self.used -= std::mem::take(&mut self.last_growth);
        self.denied.get_or_insert(Denied::Own(self.limit));
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_table_growth = 0;
        if desired > MAX_TABLE_ELEMENTS {
            return Ok(false);
        }
        let growth = desired.saturating_sub(current) * ELEMENT;
        let total = self.tables + growth;
        if !self.charge(self.used, total) {
            return Ok(false);
        }
        self.tables = total;
        self.last_table_growth = growth;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables -= std::mem::take(&mut self.last_table_growth);
        Ok(())
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}
