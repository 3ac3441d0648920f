//! What slots of the pool keep while nobody uses them. A freed slot keeps the pages that were written
//! for its next user, because faulting them in anew is what makes an instance slow (see
//! [`crate::engine`]). After a crowd of agents that is much, and nobody else can have it: so the
//! coldest slots give theirs back to the system.
//!
//! wasmtime has no call for that. A slot is held by an instance of a module without content, and its
//! pages are dropped; that module is made anew for each batch, because the pool prefers slots that a
//! module had before, which would be those that are done.

use wasmtime::{Instance, Module, PoolingAllocatorMetrics, Store};

/// What unused slots may keep together, in bytes: some thousand small instances, or some hundred
/// JavaScript programs.
pub(crate) const KEPT: usize = 32 << 20;
/// Slots that are held at once.
const BATCH: usize = 64;
/// The share of the free slots that is held at most, so that instances find theirs meanwhile.
const SHARE: usize = 4;
/// `(module (memory (export "m") 1))`
const BLANK: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\0\x01\x07\x05\x01\x01m\x02\0";

/// The slots of an engine's pool.
pub(crate) struct Slots {
    pub(crate) total: usize,
    /// What the memory of each may grow to, in bytes.
    pub(crate) size: usize,
}

impl Slots {
    /// Gives back until unused slots keep no more than `kept` bytes, the longest unused first.
    pub(crate) fn give_back(&self, engine: &wasmtime::Engine, kept: usize) -> wasmtime::Result<()> {
        let Some(pool) = engine.pooling_allocator_metrics() else {
            return Ok(());
        };
        // Each slot comes once: those that are done go to the end of the queue.
        let mut left = pool.unused_warm_memories() as usize;
        while left > 0 && pool.unused_memory_bytes_resident() > kept {
            let batch = self.batch(&pool).min(left);
            if batch == 0 {
                return Ok(());
            }
            self.empty(engine, batch)?;
            left -= batch;
        }
        Ok(())
    }

    fn batch(&self, pool: &PoolingAllocatorMetrics) -> usize {
        let free = self.total.saturating_sub(pool.memories());
        BATCH.min(free / SHARE)
    }

    fn empty(&self, engine: &wasmtime::Engine, count: usize) -> wasmtime::Result<()> {
        let blank = Module::from_binary(engine, BLANK)?;
        let mut store = Store::new(engine, ());
        for _ in 0..count {
            let instance = Instance::new(&mut store, &blank, &[])?;
            if let Some(memory) = instance.get_memory(&mut store, "m") {
                drop_pages(memory.data_ptr(&store), self.size)?;
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn drop_pages(start: *mut u8, size: usize) -> wasmtime::Result<()> {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the range is the slot of the blank memory that starts here: every slot has room for the
    // largest memory. Nobody else has that slot. It is private and without an image, so dropped pages
    // read as zeros, which is what they must hold already.
    unsafe { madvise(start.cast(), size, Advice::LinuxDontNeed) }?;
    Ok(())
}

/// Other systems keep nothing in the first place.
#[cfg(not(target_os = "linux"))]
fn drop_pages(_: *mut u8, _: usize) -> wasmtime::Result<()> {
    Ok(())
}
