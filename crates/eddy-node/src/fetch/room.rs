//! What the fetches of one turn hold at once: the addresses, headers and bodies of requests under way, and of answers
//! that the guest has not taken. They are in the node's memory, not in the guest's, and count as memory of its tenant.

use crate::access::Account;
use crate::held::{Held, keeping};
use crate::inner::Inner;
use bytes::Bytes;
use eddy_types::limits::MAX_FETCH_BYTES_PER_TURN;
use eddy_types::{EddyError, ErrorCode};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// The room of one turn, in bytes that are taken.
#[derive(Clone, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// A part of it, until dropped.
pub(super) struct Part {
    room: Room,
    bytes: usize,
    held: Held,
    account: Arc<Account>,
    node: Weak<Inner>,
}

impl Room {
    /// An empty part.
    pub(super) fn part(&self, account: &Arc<Account>, node: Weak<Inner>) -> Part {
        Part {
            room: self.clone(),
            bytes: 0,
            held: Held::none(account),
            account: account.clone(),
            node,
        }
    }
}

impl Part {
    /// Takes so much more; `limit-exceeded` when it is not there, `tenant-limit` when its tenant has it not.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), EddyError> {
        let before = self.room.0.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before + bytes > MAX_FETCH_BYTES_PER_TURN {
            return Err(EddyError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "the fetches of one turn may hold {MAX_FETCH_BYTES_PER_TURN} bytes at once"
                ),
            )
            .hint("Await some of them before you start more."));
        }
        let make_room = || {
            let node = self.node.upgrade();
            node.is_some_and(|node| node.make_room_of(&self.account))
        };
        self.held.grow(bytes, make_room)
    }

    /// The bytes that it was taken for; they keep it until they are gone.
    pub(super) fn holding(self, bytes: Vec<u8>) -> Bytes {
        keeping(bytes, self)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::{TenantId, TenantSpec};

    #[test]
    fn a_turn_holds_so_much_and_what_goes_makes_room() {
        let account = Account::new(TenantId::default_tenant(), TenantSpec::default());
        let room = Room::default();
        let part = || room.part(&account, Weak::new());
        let (mut request, mut answer) = (part(), part());
        request.grow(MAX_FETCH_BYTES_PER_TURN - 3).expect("room");
        answer.grow(3).expect("room");
        let body = answer.holding(vec![0; 3]);
        let refused = part().grow(1).expect_err("full");
        assert_eq!(refused.code, ErrorCode::LimitExceeded);
        drop(body.slice(1..));
        assert!(part().grow(1).is_err(), "the body is still there");
        drop(body);
        assert!(part().grow(3).is_ok());
        drop(request);
        assert!(part().grow(MAX_FETCH_BYTES_PER_TURN).is_ok());
        assert_eq!(account.memory.used(), 0, "nothing is left behind");
    }
}
