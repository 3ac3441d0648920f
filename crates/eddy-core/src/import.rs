//! What an import puts in the place of an agent's state and timers.

use crate::effects::{Effects, TimerRequest, too_far_ahead};
use crate::record::Value;
use bytes::Bytes;
use eddy_types::limits::{MAX_TIMER_DELAY, MAX_TIMERS_PER_AGENT};
use eddy_types::{EddyError, ErrorCode, MethodName, Timestamp};

/// The state and the timers that an agent is to have. It commits as one record, with the limits of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Neither removals nor sends are among them.
    content: Effects,
    replace: bool,
}

impl Import {
    /// Nothing yet. Unless it is to `replace` an agent that exists, there must be none:
    /// `agent-exists`.
    #[must_use]
    pub fn new(replace: bool) -> Self {
        Self {
            content: Effects::default(),
            replace,
        }
    }

    /// Adds a state entry.
    ///
    /// # Errors
    /// Those of a write: `invalid-argument` for the key, `record-too-large`.
    pub fn state(&mut self, key: &str, value: Value) -> Result<(), EddyError> {
        self.content.set(key, value)
    }

    /// Adds a timer. One whose moment has passed fires at once.
    ///
    /// # Errors
    /// `invalid-argument` for the name, `payload-too-large`, `limit-exceeded`, `record-too-large`.
    pub fn timer(
        &mut self,
        name: &str,
        at: Timestamp,
        method: MethodName,
        argument: Bytes,
    ) -> Result<(), EddyError> {
        let request = TimerRequest {
            at,
            method,
            argument,
        };
        self.content.set_timer_at(name, request)?;
        if self.content.timers.len() > MAX_TIMERS_PER_AGENT {
            let detail = format!("an agent has at most {MAX_TIMERS_PER_AGENT} timers");
            return Err(EddyError::new(ErrorCode::LimitExceeded, detail));
        }
        Ok(())
    }

    /// The methods that its timers call.
    pub fn methods(&self) -> impl Iterator<Item = &MethodName> {
        let timers = self.content.timers.values().flatten();
        timers.map(|timer| &timer.method)
    }

    pub(crate) fn content(&self) -> &Effects {
        &self.content
    }

    pub(crate) fn replaces(&self) -> bool {
        self.replace
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.content.held_bytes()
    }

    /// Timers are set as far ahead as turns may set them.
    pub(crate) fn check_moments(&self, now: Timestamp) -> Result<(), EddyError> {
        let latest = now.plus(MAX_TIMER_DELAY);
        let mut timers = self.content.timers.values().flatten();
        match timers.any(|timer| timer.at > latest) {
            true => Err(too_far_ahead()),
            false => Ok(()),
        }
    }

    /// Everything that tells two imports apart, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Bytes> {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let replace: &'static [u8] = if self.replace { b"replace" } else { b"new" };
        let state = self.content.writes.iter().flat_map(move |(key, value)| {
            let (kind, content): (&'static [u8], Bytes) = match value {
                Some(Value::Json(json)) => (b"json", json.clone()),
                Some(Value::Bytes(bytes)) => (b"bytes", bytes.clone()),
                None => (b"none", Bytes::new()),
            };
            [text(key), Bytes::from_static(kind), content]
        });
        let timers = self.content.timers.iter().filter_map(move |(name, timer)| {
            let timer = timer.as_ref()?;
            let at = Bytes::copy_from_slice(&timer.at.0.to_be_bytes());
            let kind = Bytes::from_static(b"timer");
            let (method, argument) = (text(timer.method.as_str()), timer.argument.clone());
            Some([text(name), kind, at, method, argument])
        });
        std::iter::once(Bytes::from_static(replace))
            .chain(state)
            .chain(timers.flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Operation;
    use eddy_types::{AgentId, Key, Name, TenantId};

    #[test]
    fn each_part_of_it_tells_it_from_others() {
        let method = || MethodName::new("m").expect("a name");
        let mut all = vec![Import::new(false), Import::new(true)];
        for (key, value) in [
            ("a", Value::Json("1".into())),
            ("a", Value::Bytes("1".into())),
            ("a1", Value::Json("".into())),
        ] {
            let mut import = Import::new(false);
            import.state(key, value).expect("it fits");
            all.push(import);
        }
        for (name, at, argument) in [("t", 1, "1"), ("t", 2, "1"), ("t", 1, "2"), ("u", 1, "1")] {
            let mut import = Import::new(false);
            let argument = Bytes::from(argument);
            import
                .timer(name, Timestamp(at), method(), argument)
                .expect("it fits");
            all.push(import);
        }
        let name = Name::new("cart").expect("a name");
        let key = Key::new("alice").expect("a key");
        let agent = AgentId::new(TenantId::default_tenant(), name, key);
        let imports = all
            .into_iter()
            .map(|import| Operation::Import(Box::new(import)));
        let operations = imports.chain([Operation::Delete]);
        let digests: std::collections::BTreeSet<_> = operations
            .map(|operation| operation.digest(&agent).as_bytes().to_vec())
            .collect();
        assert_eq!(digests.len(), 10);
    }
}
