//! Which of the records that may go makes room for the next one. A tenant has room of its own, and all
//! together twice as much; past that the oldest of the tenant that holds most goes. So one that holds
//! less than its share loses nothing to the others, and cannot tell by its history how busy they are.

use super::SLOTS;
use eddy_core::MessageId;
use eddy_types::limits::MAX_RECENT_INVOCATIONS;
use eddy_types::{HashMap, TenantId};
use std::collections::{BTreeSet, VecDeque};

/// Bytes of records that a slot keeps of one tenant.
const OWN_BYTES: usize = 2 << 20;
/// The same of all tenants.
const ALL_BYTES: usize = 2 * OWN_BYTES;
/// What a record counts for at least, so that room for bytes bounds their number as well.
const LEAST: usize = OWN_BYTES / (MAX_RECENT_INVOCATIONS / SLOTS);

/// Records of one tenant, oldest first, with the bytes they count for.
#[derive(Default)]
struct Own {
    records: VecDeque<(MessageId, usize)>,
    bytes: usize,
}

/// The records of a slot that may go.
#[derive(Default)]
pub(super) struct History {
    tenants: HashMap<TenantId, Own>,
    /// Tenants by what they hold: the last one holds most.
    by_bytes: BTreeSet<(usize, TenantId)>,
    bytes: usize,
}

impl History {
    /// A record that may go, the newest of its tenant.
    pub(super) fn add(&mut self, tenant: &TenantId, id: MessageId, bytes: usize) {
        let bytes = bytes.max(LEAST);
        let own = self.tenants.entry(tenant.clone()).or_default();
        let mut place = (own.bytes, tenant.clone());
        self.by_bytes.remove(&place);
        own.records.push_back((id, bytes));
        own.bytes += bytes;
        place.0 = own.bytes;
        self.by_bytes.insert(place);
        self.bytes += bytes;
    }

    /// A record that has to go, now that `tenant` has one more; none when there is room.
    pub(super) fn pop_surplus(&mut self, tenant: &TenantId) -> Option<MessageId> {
        let own = self.tenants.get(tenant).map_or(0, |own| own.bytes);
        if own > OWN_BYTES {
            return self.pop_oldest((own, tenant.clone()));
        }
        match self.bytes > ALL_BYTES {
            true => self
                .by_bytes
                .last()
                .cloned()
                .and_then(|most| self.pop_oldest(most)),
            false => None,
        }
    }

    fn pop_oldest(&mut self, mut place: (usize, TenantId)) -> Option<MessageId> {
        let own = self.tenants.get_mut(&place.1)?;
        let (id, bytes) = own.records.pop_front()?;
        own.bytes -= bytes;
        self.bytes -= bytes;
        self.by_bytes.remove(&place);
        if own.records.is_empty() {
            self.tenants.remove(&place.1);
        } else {
            place.0 -= bytes;
            self.by_bytes.insert(place);
        }
        Some(id)
    }
}
