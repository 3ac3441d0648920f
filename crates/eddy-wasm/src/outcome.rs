//! Errors and results on their way between the node and a guest, and the check that bytes are JSON.

use crate::bindings::eddy::platform::types::Failure;
use eddy_types::{EddyError, ErrorCode, GuestFailure};
use serde::de::IgnoredAny;
use serde_json::json;

/// Says why `bytes` are not JSON text.
pub(crate) fn check_json(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    serde_json::from_str::<IgnoredAny>(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// An argument that a guest passes on; `invalid-json` when it is not JSON.
pub(crate) fn checked_argument(json: Vec<u8>) -> Result<bytes::Bytes, EddyError> {
    match check_json(&json) {
        Ok(()) => Ok(json.into()),
        Err(why) => Err(EddyError::new(
            ErrorCode::InvalidJson,
            format!("the guest passed an argument or value that is not JSON: {why}"),
        )),
    }
}

/// The node's error as a guest sees it. Of another guest's error it also sees the name and the
/// details, as `{"name", "details"}`, but not the stack.
pub(crate) fn to_failure(error: &EddyError) -> Failure {
    let details = error.guest.as_ref().map(|guest| {
        let details = guest
            .details
            .as_deref()
            .and_then(|d| serde_json::from_str(d).ok());
        json!({ "name": guest.name, "details": details.unwrap_or(serde_json::Value::Null) })
    });
    Failure {
        code: error.code.as_str().to_owned(),
        message: error.detail.clone(),
        stack: None,
        status: error.guest.as_ref().and_then(|guest| guest.status),
        details: details.map(|details| details.to_string().into_bytes()),
    }
}

/// Codes that a guest's language runtime gives by itself: they blame the guest's own code, so
/// nothing is gained by making them up.
const OF_RUNTIMES: [(ErrorCode, &str); 4] = [
    (
        ErrorCode::ContextClosed,
        "Await everything that a handler starts before it returns.",
    ),
    (
        ErrorCode::HandlerStalled,
        "Await calls, fetches and timers of the context, or resolve what the handler awaits.",
    ),
    (
        ErrorCode::InvalidJson,
        "The argument is nested too deeply, or is not JSON.",
    ),
    (
        ErrorCode::InvalidResult,
        "Return something that JSON can carry.",
    ),
];

/// Whether a runtime says with an error of its own that memory has run out. It counts only when
/// the node has denied some.
pub(crate) fn says_out_of_memory(failure: &Failure) -> bool {
    failure.code == "MemoryError" || failure.message.contains("out of memory")
}

/// The guest's own error. When it only passes on what the node told it in the same turn (`told`),
/// the node's code and hint stay; a guest cannot make up a code of the node.
pub(crate) fn from_failure(failure: Failure, told: &[EddyError]) -> EddyError {
    let passed_on = told
        .iter()
        .find(|error| error.code.as_str() == failure.code);
    let of_runtime = OF_RUNTIMES
        .iter()
        .find(|(code, _)| code.as_str() == failure.code);
    let error = match (passed_on, of_runtime) {
        (Some(told), _) => EddyError {
            detail: failure.message,
            ..told.clone()
        },
        (None, Some((code, hint))) => EddyError::new(*code, failure.message).hint(*hint),
        (None, None) => EddyError::new(ErrorCode::GuestError, failure.message),
    };
    error.guest(GuestFailure {
        name: guest_name(passed_on, failure.code),
        stack: failure.stack,
        status: failure.status,
        details: failure.details.map(json_text),
    })
}

/// The name of the error: of the guest further down when its error is passed on.
fn guest_name(passed_on: Option<&EddyError>, code: String) -> String {
    match passed_on.and_then(|told| told.guest.as_ref()) {
        Some(guest) => guest.name.clone(),
        None => code,
    }
}

/// Details as JSON text whatever the guest gave.
fn json_text(details: Vec<u8>) -> String {
    match String::from_utf8(details) {
        Ok(text) if check_json(text.as_bytes()).is_ok() => text,
        Ok(text) => json!(text).to_string(),
        Err(error) => json!(String::from_utf8_lossy(error.as_bytes())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str) -> Failure {
        Failure {
            code: code.to_owned(),
            message: "m".to_owned(),
            stack: None,
            status: None,
            details: Some(b"not json".to_vec()),
        }
    }

    #[test]
    fn json_is_checked_to_its_end_and_as_utf8() {
        assert!(check_json(br#" {"a": [1, null, "\u00e4"]} "#).is_ok());
        for bad in [&b"{"[..], b"1 2", b"", b"\"\xff\"", b"undefined"] {
            assert!(check_json(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_guest_passes_codes_on_but_does_not_make_them_up() {
        let told = [EddyError::new(ErrorCode::CallCycle, "c").hint("h")];
        let passed = from_failure(failure("call-cycle"), &told);
        assert_eq!(
            (passed.code, passed.hint.as_deref()),
            (ErrorCode::CallCycle, Some("h"))
        );
        let forged = from_failure(failure("deadlock"), &told);
        assert_eq!(forged.code, ErrorCode::GuestError);
        let of_runtime = from_failure(failure("context-closed"), &told);
        assert_eq!(of_runtime.code, ErrorCode::ContextClosed);
        let guest = forged.guest.expect("the guest's error");
        assert_eq!(
            (guest.name.as_str(), guest.details.as_deref()),
            ("deadlock", Some("\"not json\""))
        );
    }

    #[test]
    fn a_caller_sees_the_callees_name_and_details_but_not_its_stack() {
        let error = EddyError::new(ErrorCode::GuestError, "no more").guest(GuestFailure {
            name: "out-of-stock".to_owned(),
            stack: Some("secret".to_owned()),
            status: Some(409),
            details: Some(r#"{"left":0}"#.to_owned()),
        });
        let seen = to_failure(&error);
        assert_eq!(
            (seen.code.as_str(), seen.stack, seen.status),
            ("guest-error", None, Some(409))
        );
        let details = String::from_utf8(seen.details.expect("details")).expect("UTF-8");
        assert_eq!(details, r#"{"details":{"left":0},"name":"out-of-stock"}"#);
    }
}
