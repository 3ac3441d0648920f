//! The buffered effects of one turn, gathered while its handler runs, and the read-through of a
//! turn's own writes, the overlay and the store.

use crate::record::Value;
use bytes::Bytes;
use eddy_types::limits::{
    MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES, MAX_SENDS_PER_TURN, MAX_STATE_KEY_BYTES, MAX_TIMER_DELAY,
    MAX_VALUE_BYTES,
};
use eddy_types::{AgentId, EddyError, ErrorCode, MethodName, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A send that a turn wants to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The target.
    pub to: AgentId,
    /// The method.
    pub method: MethodName,
    /// The argument, JSON text.
    pub argument: Bytes,
}

/// A timer that a turn wants to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerRequest {
    /// When it fires.
    pub at: Timestamp,
    /// The method it calls.
    pub method: MethodName,
    /// The argument, JSON text.
    pub argument: Bytes,
}

/// What a turn changes when it commits; nothing of it when it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// State keys written (`Some`) or removed (`None`).
    pub writes: BTreeMap<String, Option<Value>>,
    /// Sends, in order.
    pub sends: Vec<Outgoing>,
    /// Timers set (`Some`) or cancelled (`None`), by name.
    pub timers: BTreeMap<String, Option<TimerRequest>>,
    bytes: usize,
}

impl Effects {
    /// Whether the turn has nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.sends.is_empty() && self.timers.is_empty()
    }

    /// Buffers a write.
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), EddyError> {
        check_key(key)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(EddyError::new(
                ErrorCode::RecordTooLarge,
                format!(
                    "the value of {key:?} has {} bytes; the limit is {MAX_VALUE_BYTES}",
                    value.len()
                ),
            )
            .hint(
                "Split it over several keys and turns, or keep it outside and store a reference.",
            ));
        }
        let old = self.writes.get(key).map_or(0, |old| write_bytes(key, old));
        let value = Some(value);
        self.grow(write_bytes(key, &value), old)?;
        self.writes.insert(key.to_owned(), value);
        Ok(())
    }

    /// Buffers a removal.
    pub fn delete(&mut self, key: &str) -> Result<(), EddyError> {
        check_key(key)?;
        let old = self.writes.get(key).map_or(0, |old| write_bytes(key, old));
        self.grow(write_bytes(key, &None), old)?;
        self.writes.insert(key.to_owned(), None);
        Ok(())
    }

    /// Buffers a send.
    pub fn send(&mut self, send: Outgoing) -> Result<(), EddyError> {
        if self.sends.len() >= MAX_SENDS_PER_TURN {
            return Err(EddyError::new(
                ErrorCode::LimitExceeded,
                format!("one turn may make {MAX_SENDS_PER_TURN} sends"),
            )
            .hint("Send to an agent that fans out in several turns."));
        }
        check_argument(&send.argument)?;
        self.grow(CHANGE_BYTES + send.argument.len(), 0)?;
        self.sends.push(send);
        Ok(())
    }

    /// Buffers a timer that fires `delay` after `now`.
    pub fn set_timer(
        &mut self,
        name: &str,
        now: Timestamp,
        delay: Duration,
        method: MethodName,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        check_key(name)?;
        check_argument(&argument)?;
        if delay > MAX_TIMER_DELAY {
            return Err(too_far_ahead());
        }
        let at = now.plus(delay);
        self.put_timer(
            name,
            Some(TimerRequest {
                at,
                method,
                argument,
            }),
        )
    }

    /// Buffers a timer that fires at a moment, which may be in the past.
    pub(crate) fn set_timer_at(
        &mut self,
        name: &str,
        request: TimerRequest,
    ) -> Result<(), EddyError> {
        check_key(name)?;
        check_argument(&request.argument)?;
        self.put_timer(name, Some(request))
    }

    /// Buffers the cancellation of a timer.
    pub fn cancel_timer(&mut self, name: &str) -> Result<(), EddyError> {
        check_key(name)?;
        self.put_timer(name, None)
    }

    fn put_timer(&mut self, name: &str, timer: Option<TimerRequest>) -> Result<(), EddyError> {
        let old = self.timers.get(name);
        let old = old.map_or(0, |old| timer_bytes(name, old));
        self.grow(timer_bytes(name, &timer), old)?;
        self.timers.insert(name.to_owned(), timer);
        Ok(())
    }

    /// Bytes that it holds in memory, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
    }

    // Bounds the memory a turn may hold; the record's own limit is checked when it is encoded.
    fn grow(&mut self, by: usize, replaced: usize) -> Result<(), EddyError> {
        const SLACK: usize = 4;
        let bytes = self.bytes + by - replaced;
        if by <= replaced || bytes <= SLACK * MAX_RECORD_BYTES {
            self.bytes = bytes;
        } else {
            return Err(EddyError::new(
                ErrorCode::RecordTooLarge,
                format!("the turn's changes exceed {MAX_RECORD_BYTES} bytes by far"),
            )
            .hint("Write less per turn."));
        }
        Ok(())
    }
}

/// What a change takes in memory beside its key and content; at most four times what it takes in
/// a record.
const CHANGE_BYTES: usize = 32;

fn write_bytes(key: &str, value: &Option<Value>) -> usize {
    CHANGE_BYTES + key.len() + value.as_ref().map_or(0, Value::len)
}

fn timer_bytes(name: &str, timer: &Option<TimerRequest>) -> usize {
    CHANGE_BYTES + name.len() + timer.as_ref().map_or(0, |timer| timer.argument.len())
}

pub(crate) fn too_far_ahead() -> EddyError {
    let days = MAX_TIMER_DELAY.as_secs() / 86_400;
    let detail = format!("a timer may be set {days} days ahead");
    EddyError::new(ErrorCode::LimitExceeded, detail)
}

/// `payload-too-large` for an argument that is none of a send, a timer, a call or an invocation.
pub fn check_argument(argument: &Bytes) -> Result<(), EddyError> {
    if argument.len() <= MAX_PAYLOAD_BYTES {
        return Ok(());
    }
    Err(EddyError::new(
        ErrorCode::PayloadTooLarge,
        format!(
            "the argument has {} bytes; the limit is {MAX_PAYLOAD_BYTES}",
            argument.len()
        ),
    )
    .hint("Send a reference to large data instead of the data."))
}

fn check_key(key: &str) -> Result<(), EddyError> {
    if key.is_empty() || key.len() > MAX_STATE_KEY_BYTES {
        return Err(EddyError::new(
            ErrorCode::InvalidArgument,
            format!(
                "a state key or timer name has 1 to {MAX_STATE_KEY_BYTES} bytes, not {}",
                key.len()
            ),
        ));
    }
    Ok(())
}
