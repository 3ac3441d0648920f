//! An agent's own durable state, and which values it can hold.

use crate::bindings::eddy::platform::state as node;
use crate::bindings::eddy::platform::types::Value;
use crate::effects::from_json;
use crate::error::{EddyError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::Location;

/// Most entries that one listing gives.
const MAX_PAGE: usize = 1000;

/// An agent's own durable state. Reads come from the node, key by key; writes commit with the turn, and the turn
/// that made them sees them.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// struct Line {
///     sku: String,
///     qty: u32,
/// }
///
/// fn add(ctx: &AgentContext, line: Line) -> Result<u32> {
///     let key = format!("line:{}", line.sku);
///     let before: Option<Line> = ctx.state.get(&key)?;
///     let qty = line.qty + before.map_or(0, |line| line.qty);
///     ctx.state.set(&key, &Line { qty, ..line })?;
///     let lines = ctx.state.list::<Line>("line:")?;
///     Ok(lines.iter().map(|(_, line)| line.qty).sum())
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct State {}

impl State {
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// The value under `key`; none when there is none. `unexpected-json` when it does not fit.
    #[track_caller]
    pub fn get<T: FromState>(&self, key: &str) -> Result<Option<T>> {
        let place = Location::caller();
        let value = node::get(key).map_err(|failure| EddyError::of_node(failure, place))?;
        value
            .map(|value| T::from_state(key, value.into()))
            .transpose()
    }

    /// Writes any JSON value, or [`Bytes`]. In a query: `write-in-query`.
    #[track_caller]
    pub fn set(&self, key: &str, value: impl ToState) -> Result<()> {
        let place = Location::caller();
        let value = value.to_state()?.into();
        node::set(key, &value).map_err(|failure| EddyError::of_node(failure, place))
    }

    /// Removes `key`; says whether it was there. In a query: `write-in-query`.
    #[track_caller]
    pub fn delete(&self, key: &str) -> Result<bool> {
        let place = Location::caller();
        node::delete(key).map_err(|failure| EddyError::of_node(failure, place))
    }

    /// Entries whose key starts with `prefix`, in byte order of their keys: the first 1000.
    #[track_caller]
    pub fn list<T: FromState>(&self, prefix: &str) -> Result<Vec<(String, T)>> {
        self.list_page(prefix, None, MAX_PAGE)
    }

    /// The same, only keys behind `after` (the last key of the page before), at most `limit` (and at most 1000).
    #[track_caller]
    pub fn list_page<T: FromState>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, T)>> {
        let place = Location::caller();
        let limit = u32::try_from(limit.min(MAX_PAGE)).unwrap_or(u32::MAX);
        let entries = node::list(prefix, after, limit);
        let entries = entries.map_err(|failure| EddyError::of_node(failure, place))?;
        let read = |(key, value): (String, Value)| {
            let value = T::from_state(&key, value.into())?;
            Ok((key, value))
        };
        entries.into_iter().map(read).collect()
    }
}

/// Bytes that state keeps as they are, not as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// A state value of either kind, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// JSON text.
    Json(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<Value> for Stored {
    fn from(value: Value) -> Self {
        match value {
            Value::Json(json) => Self::Json(json),
            Value::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

impl From<Stored> for Value {
    fn from(value: Stored) -> Self {
        match value {
            Stored::Json(json) => Self::Json(json),
            Stored::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// What state can hold: everything that serde serializes (as JSON), [`Bytes`] and [`Stored`].
pub trait ToState {
    /// The value as it is kept.
    ///
    /// # Errors
    /// JSON cannot hold it.
    fn to_state(self) -> Result<Stored>;
}

impl<T: Serialize> ToState for T {
    fn to_state(self) -> Result<Stored> {
        Ok(Stored::Json(serde_json::to_vec(&self)?))
    }
}

impl ToState for Bytes {
    fn to_state(self) -> Result<Stored> {
        Ok(Stored::Bytes(self.0))
    }
}

impl ToState for Stored {
    fn to_state(self) -> Result<Stored> {
        Ok(self)
    }
}

/// What can be read from state: everything that serde deserializes (from JSON), [`Bytes`] and [`Stored`].
pub trait FromState: Sized {
    /// The value kept under `key`.
    ///
    /// # Errors
    /// `unexpected-json` or `unexpected-bytes`: what is kept is something else.
    fn from_state(key: &str, value: Stored) -> Result<Self>;
}

impl<T: DeserializeOwned> FromState for T {
    fn from_state(key: &str, value: Stored) -> Result<Self> {
        match value {
            Stored::Json(json) => from_json(&json, &format!("the value of {key:?}")),
            Stored::Bytes(_) => Err(EddyError::new(
                "unexpected-bytes",
                format!("the value of {key:?} is bytes: read it as `Bytes`"),
            )),
        }
    }
}

impl FromState for Bytes {
    fn from_state(key: &str, value: Stored) -> Result<Self> {
        match value {
            Stored::Bytes(bytes) => Ok(Self(bytes)),
            Stored::Json(_) => Err(EddyError::new(
                "unexpected-json",
                format!("the value of {key:?} is JSON, not bytes"),
            )),
        }
    }
}

impl FromState for Stored {
    fn from_state(_: &str, value: Stored) -> Result<Self> {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_bytes_stay_apart() {
        let json = vec![1u8, 2].to_state().unwrap();
        assert_eq!(json, Stored::Json(b"[1,2]".to_vec()));
        let bytes = Bytes(vec![1, 2]).to_state().unwrap();
        assert_eq!(bytes, Stored::Bytes(vec![1, 2]));
        assert_eq!(Vec::<u8>::from_state("k", json.clone()).unwrap(), [1, 2]);
        let code = |error: EddyError| error.code;
        assert_eq!(
            Bytes::from_state("k", json).map_err(code),
            Err("unexpected-json".to_owned())
        );
        assert_eq!(
            Vec::<u8>::from_state("k", bytes).map_err(code),
            Err("unexpected-bytes".to_owned())
        );
    }
}
