//! Memory of the node that effects of guests hold: arguments on their way, and what fetches ask and are answered. It
//! counts together with the instances of their tenant.

use crate::access::Account;
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode};
use eddy_wasm::MemoryAccount;
use std::sync::Arc;

/// A part of a tenant's memory that is no instance's, until dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<MemoryAccount>,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub(crate) fn none(account: &Account) -> Self {
        Self {
            memory: account.memory.clone(),
            bytes: 0,
        }
    }

    /// Takes so many bytes more. `make_room` may have instances of the tenant go when they are not there, and says whether
    /// some went.
    ///
    /// # Errors
    /// `tenant-limit`.
    pub(crate) fn grow(
        &mut self,
        bytes: usize,
        make_room: impl FnOnce() -> bool,
    ) -> Result<(), EddyError> {
        if self.memory.take(bytes) || (make_room() && self.memory.take(bytes)) {
            self.bytes += bytes;
            return Ok(());
        }
        let limit = self.memory.limit().unwrap_or_default() >> 20;
        let detail = format!(
            "the tenant's instances, and what their calls and fetches hold, use all of the {limit} MiB of memory that they may"
        );
        Err(EddyError::new(ErrorCode::TenantLimit, detail)
            .hint("Have less under way at once, or have the tenant's `memory` raised."))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give(self.bytes);
    }
}

/// Bytes that keep what was taken for them, until the last copy of them is gone.
pub(crate) fn keeping(
    bytes: impl AsRef<[u8]> + Send + 'static,
    taken: impl Send + 'static,
) -> Bytes {
    struct Kept<B, T>(B, #[allow(dead_code, reason = "dropped with them")] T);
    impl<B: AsRef<[u8]>, T> AsRef<[u8]> for Kept<B, T> {
        fn as_ref(&self) -> &[u8] {
            self.0.as_ref()
        }
    }
    Bytes::from_owner(Kept(bytes, taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::{TenantId, TenantLimits, TenantSpec};

    #[test]
    fn what_is_held_counts_with_the_instances_until_its_last_copy_is_gone() {
        let spec = TenantSpec {
            limits: TenantLimits {
                memory: Some(100),
                ..TenantLimits::default()
            },
            ..TenantSpec::default()
        };
        let account = Account::new(TenantId::default_tenant(), spec);
        let mut held = Held::none(&account);
        held.grow(60, || false).expect("room");
        let bytes = keeping(vec![7; 60], held);
        let refused = Held::none(&account).grow(41, || false);
        assert_eq!(refused.expect_err("full").code, ErrorCode::TenantLimit);
        assert_eq!(account.memory.used(), 60, "a refused one left no trace");
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(account.memory.used(), 60, "a part is still there");
        let mut other = Held::none(&account);
        let made = other.grow(41, || {
            drop(part);
            true
        });
        assert!(made.is_ok(), "room was made");
        assert_eq!(account.memory.used(), 41);
    }
}
