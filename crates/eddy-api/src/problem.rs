//! Errors on the wire: problem documents of RFC 9457 with Eddy's stable code.

use crate::invocation::json_or_text;
use eddy_types::{EddyError, ErrorCode, GuestFailure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;
use utoipa::ToSchema;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error. docs/errors has a page for each `code`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:eddy:error:` and the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and why.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Seconds to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<f64>,
    /// What the guest itself said, for `guest-error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestProblem>,
}

/// A guest's own error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GuestProblem {
    /// Its name or code, chosen by the guest.
    pub name: String,
    /// Where it was thrown, in the user's own files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The HTTP status the guest asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub details: Option<Box<RawValue>>,
}

impl From<&EddyError> for Problem {
    fn from(error: &EddyError) -> Self {
        let code = error.code.as_str();
        Self {
            problem_type: format!("urn:eddy:error:{code}"),
            title: title(code),
            status: error.http_status(),
            detail: error.detail.clone(),
            code: code.to_owned(),
            hint: error.hint.clone(),
            retry_after: error.retry_after.map(|after| after.as_secs_f64()),
            guest: error.guest.as_deref().map(GuestProblem::from),
        }
    }
}

impl From<&GuestFailure> for GuestProblem {
    fn from(guest: &GuestFailure) -> Self {
        Self {
            name: guest.name.clone(),
            stack: guest.stack.clone(),
            status: guest.status,
            details: guest
                .details
                .as_deref()
                .map(|text| json_or_text(text.as_bytes())),
        }
    }
}

impl From<Problem> for EddyError {
    fn from(problem: Problem) -> Self {
        let code = ErrorCode::ALL
            .iter()
            .find(|code| code.as_str() == problem.code);
        let retry_after = problem
            .retry_after
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self {
            code: code.copied().unwrap_or(ErrorCode::Internal),
            detail: problem.detail,
            hint: problem.hint,
            retry_after,
            guest: problem.guest.map(GuestFailure::from).map(Box::new),
        }
    }
}

impl From<GuestProblem> for GuestFailure {
    fn from(guest: GuestProblem) -> Self {
        Self {
            name: guest.name,
            stack: guest.stack,
            status: guest.status,
            details: guest.details.map(|details| details.get().to_owned()),
        }
    }
}

/// `unknown-agent-type` as `Unknown agent type`.
fn title(code: &str) -> String {
    let words = code.replace('-', " ");
    let (first, rest) = words.split_at(usize::from(!words.is_empty()));
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thrown() -> EddyError {
        EddyError::new(ErrorCode::GuestError, "only 3 left")
            .hint("Order less.")
            .retry_after(Duration::from_millis(1500))
            .guest(GuestFailure {
                name: "OutOfStock".into(),
                stack: Some("at reserve (src/stock.ts:7:11)".into()),
                status: Some(409),
                details: Some("{\"left\":3}".into()),
            })
    }

    #[test]
    fn a_problem_says_everything_an_error_says() {
        insta::assert_json_snapshot!(Problem::from(&thrown()));
    }

    #[test]
    fn an_error_comes_back_as_it_went() {
        let text = serde_json::to_string(&Problem::from(&thrown())).expect("a problem is JSON");
        let problem: Problem = serde_json::from_str(&text).expect("it reads its own form");
        assert_eq!(EddyError::from(problem), thrown());
    }

    #[test]
    fn a_code_of_a_newer_version_is_still_an_error() {
        let text =
            r#"{"type":"urn:eddy:error:new","title":"New","status":418,"detail":"d","code":"new"}"#;
        let problem: Problem = serde_json::from_str(text).expect("optional fields may be absent");
        assert_eq!(EddyError::from(problem).code, ErrorCode::Internal);
    }
}
