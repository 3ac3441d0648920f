//! The memory limit of an instance, as wasmtime asks for it.

use wasmtime::ResourceLimiter;

/// Table elements one table may have: function pointers, so the size of the code bounds it.
const MAX_TABLE_ELEMENTS: usize = 20_000;
/// Core instances, memories and tables of one component: the module, its adapters and shims.
const MAX_PARTS: usize = 32;

/// Counts the linear memory of one instance and says no beyond the limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: usize,
    used: usize,
    last_growth: usize,
    denied: bool,
}

impl Limiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            last_growth: 0,
            denied: false,
        }
    }

    /// Linear memory, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Forgets that a growth was denied: a new turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.denied = false;
    }

    /// The limit, when a growth was denied in this turn.
    pub(crate) fn denied(&self) -> Option<usize> {
        self.denied.then_some(self.limit)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.used.saturating_add(growth);
        if total > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.denied = true;
            return Ok(false);
        }
        self.used = total;
        self.last_growth = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // Also called after a denial, when nothing was counted.
        self.used -= std::mem::take(&mut self.last_growth);
        self.denied = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
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
