//! An agent's durable state as one document: to look at, to keep, to compare, and to put in again.

use crate::Base64;
use crate::time::rfc3339;
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode, Timestamp};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use utoipa::ToSchema;

/// The version of the document that this build writes. It reads every version up to this one.
pub const AGENT_DOCUMENT_VERSION: u32 = 1;

/// Everything durable that belongs to an agent, besides what it answered to idempotency keys. It names
/// no tenant and no node, and two exports of the same state are the same text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentDocument {
    /// The version of this form: 1.
    pub version: u32,
    /// The agent type that it was exported from. An import goes where its address says.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// The key that it was exported from.
    pub key: String,
    /// The state, by key.
    #[serde(default, deserialize_with = "once_each")]
    pub state: BTreeMap<String, StateValue>,
    /// The timers still to fire, by name.
    #[serde(default, deserialize_with = "once_each")]
    pub timers: BTreeMap<String, AgentTimer>,
}

/// A state value: exactly one field is there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", try_from = "Fields")]
pub enum StateValue {
    /// Any JSON value, with its text as it was stored.
    #[schema(value_type = serde_json::Value)]
    Json(Box<RawValue>),
    /// Bytes, in base64 (RFC 4648, with padding).
    #[schema(value_type = String)]
    Bytes(Base64),
}

/// What may stand in a state value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `json` or `bytes`")]
struct Fields {
    /// Also null is a value.
    #[serde(default, deserialize_with = "there")]
    json: Option<Box<RawValue>>,
    bytes: Option<Base64>,
}

fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl TryFrom<Fields> for StateValue {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        match (fields.json, fields.bytes) {
            (Some(json), None) => Ok(Self::Json(json)),
            (None, Some(bytes)) => Ok(Self::Bytes(bytes)),
            _ => Err("a state value has either `json` or `bytes`"),
        }
    }
}

/// A map in which no key stands twice: of two values one would be lost.
fn once_each<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Once<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Once<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry::<String, T>()? {
                if map.contains_key(&key) {
                    return Err(de::Error::custom(format!("{key:?} stands there twice")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Once(PhantomData))
}

/// A durable timer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentTimer {
    /// When it fires. One whose moment has passed fires at once.
    #[serde(serialize_with = "write_moment", deserialize_with = "read_moment")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The method it calls on its own agent.
    pub method: String,
    /// The argument.
    #[schema(value_type = serde_json::Value)]
    pub argument: Box<RawValue>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedAgent {
    /// Whether there was an agent that has been replaced.
    pub replaced: bool,
}

impl AgentDocument {
    /// Its text.
    ///
    /// # Errors
    /// `internal` when it does not encode.
    pub fn text(&self) -> Result<Bytes, EddyError> {
        let text = serde_json::to_vec(self).map(Bytes::from);
        text.map_err(|error| EddyError::internal(format!("a document does not encode: {error}")))
    }

    /// Reads a document of this or an earlier version.
    ///
    /// # Errors
    /// `invalid-json`; `invalid-argument` for JSON of another form or a later version.
    pub fn parse(text: &[u8]) -> Result<Self, EddyError> {
        #[derive(Deserialize)]
        #[serde(expecting = "an object with a version")]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(text).map_err(|error| wrong(&error))?;
        if version == 0 || version > AGENT_DOCUMENT_VERSION {
            let detail = format!(
                "the document has version {version}; this build reads up to {AGENT_DOCUMENT_VERSION}"
            );
            return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
                .hint("Use the version of Eddy that wrote it, or a newer one."));
        }
        serde_json::from_slice(text).map_err(|error| wrong(&error))
    }
}

fn wrong(error: &serde_json::Error) -> EddyError {
    let code = match error.classify() {
        serde_json::error::Category::Data => ErrorCode::InvalidArgument,
        _ => ErrorCode::InvalidJson,
    };
    EddyError::new(code, format!("this is no exported agent: {error}")).hint(
        "`eddy agent export` writes the document that an import reads; docs/http.md has its form.",
    )
}

fn write_moment<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

fn read_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let moment = humantime::parse_rfc3339(&text).map_err(de::Error::custom)?;
    let since = moment.duration_since(std::time::SystemTime::UNIX_EPOCH);
    let millis = since.map_err(de::Error::custom)?.as_millis();
    u64::try_from(millis)
        .map(Timestamp)
        .map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"version":1,"type":"cart","key":"alice","state":{"big":{"json":{"b":1.0,"a":12345678901234567890123}},"photo":{"bytes":"AP8="}},"timers":{"remind":{"at":"2026-01-31T12:00:00.250Z","method":"remind","argument":[1]}}}"#;

    #[test]
    fn it_is_written_as_it_was_read() {
        let document = AgentDocument::parse(TEXT.as_bytes()).expect("a document");
        assert_eq!(document.timers["remind"].at, Timestamp(1_769_860_800_250));
        assert_eq!(serde_json::to_string(&document).expect("JSON"), TEXT);
    }

    #[test]
    fn what_is_no_document_says_why() {
        let told = |text: &str| {
            let error = AgentDocument::parse(text.as_bytes()).expect_err(text);
            error.to_string()
        };
        let all = [
            "{",
            "[]",
            "{}",
            r#"{"version":2,"agents":[]}"#,
            r#"{"version":1,"type":"a","key":"b","stat":{}}"#,
            r#"{"version":1,"type":"a","key":"b","state":{"a":1}}"#,
            r#"{"version":1,"type":"a","key":"b","state":{"a":{"bytes":"?"}}}"#,
            r#"{"version":1,"type":"a","key":"b","state":{"a":{"json":1},"a":{"json":2}}}"#,
            r#"{"version":1,"type":"a","key":"b","state":{"a":{"json":null,"bytes":"AA=="}}}"#,
            r#"{"version":1,"type":"a","key":"b","timers":{"t":{"at":"soon","method":"m","argument":null}}}"#,
        ];
        insta::assert_snapshot!(all.map(told).join("\n"));
    }
}
