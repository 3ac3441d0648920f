//! The error of handlers and of everything a context does.

use crate::bindings::eddy::platform::types::Failure;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::panic::Location;

/// A result whose error is an [`EddyError`] unless said otherwise.
pub type Result<T, E = EddyError> = std::result::Result<T, E>;

/// An error with a code: of the node (`capability-denied`, `deadline-exceeded`, ...), or a program's own, for its
/// callers to see.
///
/// A handler that returns one discards what its turn wrote and sent, and the error is its reply.
///
/// `?` makes one of every [`std::error::Error`]: its code is the error type's name, its message what the error and
/// those behind it say. That is also why this type is not a `std::error::Error` itself.
///
/// The error of another agent or function has the code `guest-error` and its status; `details` is
/// `{"name": ITS CODE, "details": ITS DETAILS}`.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// fn take(free: u32, wanted: u32) -> Result<u32> {
///     free.checked_sub(wanted).ok_or_else(|| {
///         EddyError::new("out-of-stock", format!("only {free} are left"))
///             .status(409)
///             .details(serde_json::json!({ "free": free }))
///     })
/// }
///
/// fn parse(text: &str) -> Result<u32> {
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(take(1, 2).unwrap_err().code, "out-of-stock");
/// assert_eq!(parse("x").unwrap_err().code, "ParseIntError");
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct EddyError {
    /// The stable code, in the form `out-of-stock`.
    pub code: String,
    /// What happened and why.
    pub message: String,
    /// The HTTP status it asks for, 400 to 599.
    pub status: Option<u16>,
    /// More about it.
    pub details: Option<Value>,
    place: Option<&'static Location<'static>>,
}

impl EddyError {
    /// An error with a code and what happened. Where it is made is shown to whoever reads the log or the reply.
    #[track_caller]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: None,
            details: None,
            place: Some(Location::caller()),
        }
    }

    /// Asks for an HTTP status, 400 to 599.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds more about it. What JSON cannot hold is left out.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok();
        self
    }

    /// What the node answered to something that was asked for at `place`.
    pub(crate) fn of_node(failure: Failure, place: &'static Location<'static>) -> Self {
        let details = failure.details.map(|json| serde_json::from_slice(&json));
        Self {
            code: failure.code,
            message: failure.message,
            status: failure.status,
            details: details.and_then(std::result::Result::ok),
            place: Some(place),
        }
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure {
            code: self.code,
            message: self.message,
            stack: self.place.map(|place| format!("at {place}")),
            status: self.status,
            details: self.details.map(|details| details.to_string().into_bytes()),
        }
    }
}

impl fmt::Display for EddyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl fmt::Debug for EddyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match self.place {
            Some(place) => write!(f, " (at {place})"),
            None => Ok(()),
        }
    }
}

impl<E: std::error::Error> From<E> for EddyError {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            message.push_str(": ");
            message.push_str(&error.to_string());
            source = error.source();
        }
        Self::new(name_of::<E>(), message)
    }
}

/// The last part of a type's path, without what stands in angle brackets.
fn name_of<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    let plain = path.split('<').next().unwrap_or(path);
    plain.rsplit("::").next().unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer<T>(T);

    impl<T> fmt::Display for Outer<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the outside failed")
        }
    }

    impl<T: std::error::Error + 'static> std::error::Error for Outer<T> {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    fn fails() -> Result<u8> {
        let number = "300".parse::<u8>().map_err(Outer)?;
        Ok(number)
    }

    #[test]
    fn a_question_mark_names_the_error_its_causes_and_its_place() {
        let line = line!() - 6;
        let failure = fails().unwrap_err().into_failure();
        assert_eq!(failure.code, "Outer");
        assert_eq!(
            failure.message,
            "the outside failed: number too large to fit in target type"
        );
        let place = failure.stack.unwrap();
        assert!(place.starts_with("at "), "{place}");
        assert!(place.contains(&format!("error.rs:{line}:")), "{place}");
    }

    #[test]
    fn what_the_node_said_is_passed_on_whole() {
        let failure = Failure {
            code: "guest-error".to_owned(),
            message: "m".to_owned(),
            stack: None,
            status: Some(409),
            details: Some(br#"{"name":"out-of-stock","details":{"left":0}}"#.to_vec()),
        };
        let error = EddyError::of_node(failure, Location::caller());
        assert_eq!(error.details.as_ref().unwrap()["name"], "out-of-stock");
        let passed = error.into_failure();
        assert_eq!((&*passed.code, passed.status), ("guest-error", Some(409)));
        let details: Value = serde_json::from_slice(&passed.details.unwrap()).unwrap();
        assert_eq!(details["details"]["left"], 0);
    }
}
