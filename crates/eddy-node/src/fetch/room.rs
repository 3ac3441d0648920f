//! What the fetches of one turn hold at once: the bodies of requests under way, and of answers that the
//! guest has not taken. They are in the node's memory, not in the guest's.

use bytes::Bytes;
use eddy_types::limits::MAX_FETCH_BYTES_PER_TURN;
use eddy_types::{EddyError, ErrorCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The room of one turn, in bytes that are taken.
#[derive(Clone, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// A part of it, until dropped.
pub(super) struct Part {
    room: Room,
    bytes: usize,
}

impl Room {
    /// An empty part.
    pub(super) fn part(&self) -> Part {
        Part {
            room: self.clone(),
            bytes: 0,
        }
    }
}

impl Part {
    /// Takes so much more; `limit-exceeded` when it is not there.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), EddyError> {
        let before = self.room.0.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before + bytes <= MAX_FETCH_BYTES_PER_TURN {
            return Ok(());
        }
        Err(EddyError::new(
            ErrorCode::LimitExceeded,
            format!(
                "the fetches of one turn may hold {MAX_FETCH_BYTES_PER_TURN} bytes of bodies at once"
            ),
        )
        .hint("Await some of them before you start more."))
    }

    /// The bytes that it was taken for; they keep it until they are gone.
    pub(super) fn holding(self, bytes: Vec<u8>) -> Bytes {
        struct Held(
            Vec<u8>,
            #[allow(dead_code, reason = "dropped with them")] Part,
        );
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Held(bytes, self))
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

    #[test]
    fn a_turn_holds_so_much_and_what_goes_makes_room() {
        let room = Room::default();
        let (mut request, mut answer) = (room.part(), room.part());
        request.grow(MAX_FETCH_BYTES_PER_TURN - 3).expect("room");
        answer.grow(3).expect("room");
        let body = answer.holding(vec![0; 3]);
        let refused = room.part().grow(1).expect_err("full");
        assert_eq!(refused.code, ErrorCode::LimitExceeded);
        drop(body.slice(1..));
        assert!(room.part().grow(1).is_err(), "the body is still there");
        drop(body);
        assert!(room.part().grow(3).is_ok());
        drop(request);
        assert!(room.part().grow(MAX_FETCH_BYTES_PER_TURN).is_ok());
    }
}
