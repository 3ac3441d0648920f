//! The receiving side of flow control: windows, and messages put together from frames within
//! limits. Pure. The sending side is in `out`.

use crate::frame::violation;
use bytes::{Bytes, BytesMut};
use eddy_types::EddyError;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Bodies up to this size get memory of their own, so that one small message that is kept for
/// long does not keep the whole read buffer.
const OWNED_BELOW: usize = 16 << 10;

/// So much of a body adds a second to the time that it may take.
const PACE_UNIT: usize = 64 << 10;

/// Credit given to the other side: what it may still send, and what it has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    size: u32,
    left: u32,
    used: u32,
}

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            size,
            left: size,
            used: 0,
        }
    }

    /// `n` body bytes came.
    pub(crate) fn take(&mut self, n: usize, what: &str) -> Result<(), EddyError> {
        let taken = u32::try_from(n)
            .ok()
            .and_then(|n| Some((n, self.left.checked_sub(n)?)));
        let Some((n, left)) = taken else {
            let (left, what) = (self.left, what);
            return Err(violation(format!(
                "{n} bytes came where the window of {what} has room for {left}"
            )));
        };
        self.left = left;
        self.used += n;
        Ok(())
    }

    /// What to give back now: nothing until half of the window is used.
    pub(crate) fn refill(&mut self) -> Option<u32> {
        if self.used < self.size / 2 || self.used == 0 {
            return None;
        }
        let credit = std::mem::take(&mut self.used);
        self.left += credit;
        Some(credit)
    }
}

/// A message of which a part came.
struct Partial<H> {
    head: H,
    body: BytesMut,
    total: usize,
    window: Window,
    /// Gets credit beyond its first window.
    admitted: bool,
    /// Something came since the last look.
    touched: bool,
    /// Since when it is up to the other side to send: the first look after the beginning, and after
    /// the admission.
    since: Option<Instant>,
}

impl<H> Partial<H> {
    /// Puts a piece behind the others. Memory follows what came, not what was promised.
    fn extend(&mut self, piece: &[u8]) {
        let length = self.body.len() + piece.len();
        if length > self.body.capacity() {
            let doubled = (2 * length).min(self.total);
            self.body.reserve(doubled.max(length) - self.body.len());
        }
        self.body.extend_from_slice(piece);
    }

    /// Whether the other side could have sent more than it did: nothing since the last look, or too
    /// little in all.
    fn is_late(&mut self, now: Instant, longest: Duration) -> bool {
        // Without credit it waits for this side, and is not to blame.
        if self.window.left == 0 {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let paused = !std::mem::take(&mut self.touched);
        let units = u32::try_from(self.body.len() / PACE_UNIT).unwrap_or(u32::MAX);
        let allowed = longest.saturating_add(Duration::from_secs(1).saturating_mul(units));
        paused || now.saturating_duration_since(since) > allowed
    }
}

/// Messages being put together on one connection.
pub(crate) struct Receiving<H> {
    connection: Window,
    stream_window: u32,
    partial: FxHashMap<u64, Partial<H>>,
    /// Declared bytes of the admitted ones.
    admitted: usize,
    max_admitted: usize,
    waiting: VecDeque<u64>,
    /// Credit to be sent: stream (0 is the connection) and bytes.
    pub(crate) credit: Vec<(u64, u32)>,
}

/// A message that is all there: its head and its body.
pub(crate) type Whole<H> = (H, Bytes);

impl<H> Receiving<H> {
    pub(crate) fn new(connection_window: u32, stream_window: u32, max_admitted: usize) -> Self {
        Self {
            connection: Window::new(connection_window),
            stream_window,
            partial: FxHashMap::default(),
            admitted: 0,
            max_admitted,
            waiting: VecDeque::new(),
            credit: Vec::new(),
        }
    }

    /// Counts body bytes against the connection's window; every frame goes through here first.
    pub(crate) fn count(&mut self, n: usize) -> Result<(), EddyError> {
        if n == 0 {
            return Ok(());
        }
        self.connection.take(n, "the connection")?;
        if let Some(credit) = self.connection.refill() {
            self.credit.push((0, credit));
        }
        Ok(())
    }

    /// A message came in one frame.
    pub(crate) fn whole(&self, n: usize) -> Result<(), EddyError> {
        Window::new(self.stream_window).take(n, "a stream")
    }

    /// Messages of which a part came.
    pub(crate) fn len(&self) -> usize {
        self.partial.len()
    }

    /// The first frame of a message that does not end with it. `total` is what it declares.
    pub(crate) fn begin(
        &mut self,
        stream: u64,
        head: H,
        body: &[u8],
        total: usize,
    ) -> Result<(), EddyError> {
        if body.len() >= total {
            return Err(violation(format!(
                "a message of {total} bytes does not end with them"
            )));
        }
        let mut window = Window::new(self.stream_window);
        window.take(body.len(), "a stream")?;
        let mut partial = Partial {
            head,
            body: BytesMut::new(),
            total,
            window,
            admitted: false,
            touched: true,
            since: None,
        };
        partial.extend(body);
        self.partial.insert(stream, partial);
        self.waiting.push_back(stream);
        self.admit();
        Ok(())
    }

    /// A further frame. `Ok(None)`: not all there yet, or nobody waits for this stream any more.
    pub(crate) fn more(
        &mut self,
        stream: u64,
        body: &[u8],
        end: bool,
    ) -> Result<Option<Whole<H>>, EddyError> {
        let Some(partial) = self.partial.get_mut(&stream) else {
            return Ok(None);
        };
        partial.window.take(body.len(), "a stream")?;
        partial.touched = true;
        let length = partial.body.len() + body.len();
        if length > partial.total || end != (length == partial.total) {
            let total = partial.total;
            return Err(violation(format!(
                "a message of {total} bytes has {length} of them, and its end is {end}"
            )));
        }
        partial.extend(body);
        if end {
            return Ok(self.remove(stream));
        }
        if partial.admitted
            && let Some(credit) = partial.window.refill()
        {
            self.credit.push((stream, credit));
        }
        Ok(None)
    }

    /// Forgets a message; what came of it, if anything did.
    pub(crate) fn remove(&mut self, stream: u64) -> Option<Whole<H>> {
        let partial = self.partial.remove(&stream)?;
        if partial.admitted {
            self.admitted -= partial.total;
        } else {
            self.waiting.retain(|waiting| *waiting != stream);
        }
        self.admit();
        Some((partial.head, partial.body.freeze()))
    }

    /// Whether a part of this message came.
    pub(crate) fn contains(&self, stream: u64) -> bool {
        self.partial.contains_key(&stream)
    }

    /// Forgets all messages: nobody waits for them.
    pub(crate) fn clear(&mut self) {
        self.partial.clear();
        self.waiting.clear();
        self.admitted = 0;
    }

    /// Streams of which nothing came since the last call, and those that take longer than
    /// `longest` and a second for each 64 KiB that came.
    pub(crate) fn stalled(&mut self, now: Instant, longest: Duration) -> Vec<u64> {
        let partial = self.partial.iter_mut();
        let late = partial.filter_map(|(id, partial)| partial.is_late(now, longest).then_some(*id));
        late.collect()
    }

    /// Lets waiting messages in while there is room; a single one always fits.
    fn admit(&mut self) {
        while let Some(stream) = self.waiting.front() {
            if let Some(partial) = self.partial.get_mut(stream) {
                let together = self.admitted + partial.total;
                if self.admitted > 0 && together > self.max_admitted {
                    return;
                }
                self.admitted = together;
                partial.admitted = true;
                partial.touched = true;
                partial.since = None;
                if let Some(credit) = partial.window.refill() {
                    self.credit.push((*stream, credit));
                }
            }
            self.waiting.pop_front();
        }
    }
}

/// The body of a message that came in one frame.
pub(crate) fn owned(body: Bytes) -> Bytes {
    if body.len() <= OWNED_BELOW {
        return Bytes::copy_from_slice(&body);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_what_came() {
        let mut receiving = Receiving::new(1 << 20, 1 << 20, 1 << 20);
        let capacity = |receiving: &Receiving<()>| receiving.partial[&1].body.capacity();
        receiving.begin(1, (), b"", 900_000).expect("a beginning");
        assert_eq!(capacity(&receiving), 0);
        for came in (1000..100_000).step_by(1000) {
            receiving.more(1, &[0; 1000], false).expect("more");
            assert!(capacity(&receiving) <= 2 * came, "{came}");
        }
    }
}
