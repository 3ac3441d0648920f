//! Values of a manifest that have a form or a range of their own. Each is checked when it is read,
//! from TOML and from JSON alike, and is written back in a form that reads the same.

use crate::app::TimeoutSpec;
use crate::limits::{MAX_GUEST_MEMORY, MAX_TIMER_DELAY};
use bytesize::ByteSize;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// Least memory of an instance, in bytes.
const MIN_GUEST_MEMORY: usize = 1 << 20;
const MAX_CONCURRENCY: u32 = 10_000;
const MAX_ATTEMPTS: u32 = 1_000;

/// A time limit: `"30s"`, or `"none"`. At least 1 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub TimeoutSpec);

/// A span of time: `"250ms"`, `"1h 30m"`. At least 1 ms, at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub Duration);

/// Memory of one instance: `"64MiB"`, or a number of bytes. From 1 MiB to 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(pub usize);

/// Invocations at once, from 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency(pub u32);

/// Attempts at a delivery, from 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(pub u32);

/// The name of an environment variable or of a secret: letters, digits and `_`, no digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(String);

/// A host that `fetch` may reach: `host`, `host:port` or `*.domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Wait {
    fn parse(text: &str) -> Result<Self, String> {
        let wait = humantime::parse_duration(text).map_err(|error| {
            format!(
                "{text:?} is not a time ({error}): write it like \"30s\", \"250ms\" or \"1h 30m\""
            )
        })?;
        if wait < Duration::from_millis(1) || wait > MAX_TIMER_DELAY {
            return Err(format!(
                "{text:?} is out of range: from \"1ms\" to \"3650days\""
            ));
        }
        Ok(Self(wait))
    }
}

impl Timeout {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(TimeoutSpec::None));
        }
        Wait::parse(text)
            .map(|wait| Self(TimeoutSpec::After(wait.0)))
            .map_err(|why| format!("{why}; or \"none\" for no limit"))
    }
}

impl Memory {
    fn parse(text: &str) -> Result<Self, String> {
        let size: ByteSize = text
            .parse()
            .map_err(|_| format!("{text:?} is not a size: write it like \"64MiB\" or \"1GiB\""))?;
        Self::checked(size.as_u64())
    }

    fn checked(bytes: u64) -> Result<Self, String> {
        usize::try_from(bytes)
            .ok()
            .filter(|bytes| (MIN_GUEST_MEMORY..=MAX_GUEST_MEMORY).contains(bytes))
            .map(Self)
            .ok_or_else(|| format!("{bytes} bytes is out of range: from \"1MiB\" to \"1GiB\""))
    }
}

impl EnvName {
    /// Checks and wraps `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ok = !text.is_empty()
            && text.len() <= 256
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if ok {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is not a valid name: use letters, digits and '_', no digit first"
        ))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let domain = host.strip_prefix("*.").unwrap_or(host);
        let label = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if port_ok && text.len() <= 253 && domain.split('.').all(label) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!(
            "{text:?} is not a host: write \"api.example.com\", \"localhost:8080\" or \
             \"*.example.com\", without a scheme or a path"
        ))
    }

    /// The text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The largest binary unit that divides `bytes`, so that reading it back gives the same number.
fn size_text(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.iter().find(|(size, _)| bytes.is_multiple_of(*size));
    unit.map_or_else(
        || format!("{bytes}B"),
        |(size, name)| format!("{}{name}", bytes / size),
    )
}

/// Reads text with a parse function, writes with a format function.
macro_rules! text_value {
    ($type:ident, $expecting:literal, |$value:ident| $text:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                serializer.serialize_str(&$text)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

text_value!(
    Timeout,
    "a time like \"30s\", or \"none\"",
    |value| match value.0 {
        TimeoutSpec::None => "none".to_owned(),
        TimeoutSpec::After(wait) => humantime::format_duration(wait).to_string(),
    }
);
text_value!(Wait, "a time like \"30s\"", |value| {
    humantime::format_duration(value.0).to_string()
});
text_value!(EnvName, "a name", |value| value.0);
text_value!(Host, "a host like \"api.example.com\"", |value| value.0);

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&size_text(self.0))
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = Memory;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like \"64MiB\", or a number of bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Memory, E> {
                Memory::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Memory, E> {
                Memory::checked(bytes).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Memory, E> {
                let bytes = u64::try_from(bytes).unwrap_or(0);
                Memory::checked(bytes).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Size)
    }
}

/// Reads a whole number within `1..=$max`.
macro_rules! count_value {
    ($type:ident, $max:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u32(self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = i64::deserialize(deserializer)?;
                match u32::try_from(number) {
                    Ok(count) if (1..=$max).contains(&count) => Ok(Self(count)),
                    _ => Err(de::Error::custom(format!(
                        "{number} is out of range: from 1 to {}",
                        $max
                    ))),
                }
            }
        }
    };
}

count_value!(Concurrency, MAX_CONCURRENCY);
count_value!(Attempts, MAX_ATTEMPTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_forms_are_checked() {
        assert!(Wait::parse("0s").is_err());
        assert!(Wait::parse("30").is_err());
        assert!(Timeout::parse("never").is_err());
        assert_eq!(Timeout::parse("none").map(|t| t.0), Ok(TimeoutSpec::None));
        assert!(Memory::parse("512KiB").is_err());
        assert!(Memory::parse("2GiB").is_err());
        assert_eq!(Memory::parse("64MiB"), Ok(Memory(64 << 20)));
        assert!(EnvName::parse("1A").is_err());
    }

    #[test]
    fn hosts_are_hosts_and_nothing_more() {
        for good in [
            "localhost",
            "localhost:8080",
            "*.example.com",
            "10.0.0.1",
            "a-b.c:443",
        ] {
            assert!(Host::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://a.com",
            "a.com/x",
            "*",
            "a..b",
            "a:0",
            "a:99999",
            "a b",
            "*.*.com",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_written_exactly() {
        for bytes in [1 << 20, (1 << 20) + 1, 3 << 20, 1 << 30, (1 << 20) + 1024] {
            assert_eq!(Memory::parse(&size_text(bytes)), Ok(Memory(bytes)));
        }
    }
}
