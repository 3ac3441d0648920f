//! Room for request bodies, which belongs to the node and not to a connection.

use std::fmt;

/// A share of the room for request bodies, given by [`Handler::reserve`](super::Handler::reserve).
/// Dropped when the request is answered, or will never begin.
pub struct Room {
    _held: Box<dyn Send + Sync>,
}

impl Room {
    /// A share that is free again when `held` is dropped, such as the permit of a semaphore. That
    /// may happen on any thread and with the connection locked, so it must not block.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}
