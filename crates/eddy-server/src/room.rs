//! Room for what is large and held for clients: bodies of requests, and exported agents until they were read. One tenant
//! cannot take all of it.

use eddy_core::{Amount, Held};
use eddy_types::{EddyError, ErrorCode, TenantId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// So many bytes, for all tenants together.
pub(crate) struct Room {
    bytes: usize,
    held: Mutex<Held>,
}

/// A tenant's share of a room, free again when it is dropped.
pub(crate) struct Share {
    room: Arc<Room>,
    tenant: TenantId,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self { bytes, held })
    }

    /// A share of so many bytes. A tenant other than the default one has at most as much as it leaves free.
    ///
    /// # Errors
    /// `overloaded`.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        tenant: &TenantId,
        bytes: usize,
    ) -> Result<Share, EddyError> {
        let mut held = self.held.lock();
        let there = match tenant.as_str() == TenantId::DEFAULT {
            true => bytes <= self.bytes.saturating_sub(held.total().bytes),
            // All may hold twice as much as one of them.
            false => held.has_room(
                tenant,
                bytes_only(0, bytes),
                bytes_only(usize::MAX, self.bytes / 2),
            ),
        };
        if !there {
            return Err(full());
        }
        held.add(tenant, bytes);
        Ok(Share {
            room: self.clone(),
            tenant: tenant.clone(),
            bytes,
        })
    }
}

fn bytes_only(entries: usize, bytes: usize) -> Amount {
    Amount { entries, bytes }
}

fn full() -> EddyError {
    EddyError::new(
        ErrorCode::Overloaded,
        "the node holds as many large bodies as it may",
    )
    .hint("Try again shortly.")
    .retry_after(Duration::from_secs(1))
}

impl Share {
    /// Gives back what is not needed: so many bytes are.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if bytes < self.bytes {
            let mut held = self.room.held.lock();
            held.remove(&self.tenant, self.bytes);
            held.add(&self.tenant, bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.held.lock().remove(&self.tenant, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a tenant")
    }

    /// Takes as many tens as it gets.
    fn fill(room: &Arc<Room>, name: &str) -> Vec<Share> {
        let tenant = tenant(name);
        std::iter::from_fn(|| room.reserve(&tenant, 10).ok()).collect()
    }

    #[test]
    fn a_tenant_leaves_room_for_the_next_one() {
        let room = Room::new(160);
        let first = fill(&room, "a");
        assert_eq!(first.len(), 8, "a half");
        let second = fill(&room, "b");
        assert_eq!(second.len(), 4, "a half of what was left");
        assert_eq!(fill(&room, "c").len(), 2);
        let error = room.reserve(&tenant("a"), 10).err().expect("full");
        assert_eq!(error.code, ErrorCode::Overloaded);
        drop((first, second));
        assert_eq!(fill(&room, TenantId::DEFAULT).len(), 16, "it has no limit");
    }

    #[test]
    fn what_is_not_needed_is_free_again() {
        let room = Room::new(160);
        let mut share = room.reserve(&tenant("a"), 80).expect("room");
        assert!(room.reserve(&tenant("a"), 1).is_err());
        share.shrink(20);
        share.shrink(70);
        let more = room.reserve(&tenant("a"), 60).expect("room");
        drop((share, more));
        assert_eq!(room.held.lock().total(), Amount::default());
    }
}
