//! The headers that say how a request wants to be handled.

use axum::http::{HeaderMap, HeaderValue};
use eddy_api::headers::{CONSISTENCY, IDEMPOTENCY_KEY, PREFER, TIMEOUT, TRACEPARENT};
use eddy_node::CallOptions;
use eddy_types::limits::MAX_IDEMPOTENCY_KEY_BYTES;
use eddy_types::{EddyError, ErrorCode};
use std::time::Duration;

/// Reads the options; `invalid-argument` names the header that is wrong.
pub(crate) fn call_options(headers: &HeaderMap) -> Result<CallOptions, EddyError> {
    Ok(CallOptions {
        idempotency_key: single(headers, IDEMPOTENCY_KEY)?
            .map(idempotency_key)
            .transpose()?,
        timeout: single(headers, TIMEOUT)?.map(timeout).transpose()?,
        traceparent: trace(headers),
        snapshot: single(headers, CONSISTENCY)?
            .map(snapshot)
            .transpose()?
            .unwrap_or(false),
        suggest: false,
        permit: None,
    })
}

/// The options of a request that an app answers: every other header is the app's.
pub(crate) fn of_a_request_to_an_app(headers: &HeaderMap) -> Result<CallOptions, EddyError> {
    Ok(CallOptions {
        timeout: single(headers, TIMEOUT)?.map(timeout).transpose()?,
        traceparent: trace(headers),
        ..CallOptions::default()
    })
}

fn trace(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    is_traceparent(text).then(|| text.to_owned())
}

/// A header that must not stand there twice: which one would count?
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> Result<Option<&'a HeaderValue>, EddyError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(EddyError::new(
            ErrorCode::InvalidArgument,
            format!("the header {name} stands there more than once"),
        )
        .hint("Send it once.")),
    }
}

/// Whether `Prefer: respond-async` is among the preferences (RFC 7240).
pub(crate) fn responds_async(headers: &HeaderMap) -> bool {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split([',', ';']))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

fn idempotency_key(value: &HeaderValue) -> Result<String, EddyError> {
    let text = value.to_str().unwrap_or_default().trim();
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    let visible = key
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES || !visible {
        return Err(EddyError::new(
            ErrorCode::InvalidArgument,
            "the header Idempotency-Key is not valid",
        )
        .hint(format!(
            "Send 1 to {MAX_IDEMPOTENCY_KEY_BYTES} ASCII characters, such as a UUID."
        )));
    }
    Ok(key.to_owned())
}

fn timeout(value: &HeaderValue) -> Result<Duration, EddyError> {
    let text = value.to_str().unwrap_or_default().trim();
    match humantime::parse_duration(text) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err(EddyError::new(
            ErrorCode::InvalidArgument,
            format!("the header Eddy-Timeout says {text:?}, which is not a time to wait"),
        )
        .hint("Write a number with a unit, such as 500ms, 2s or 1m 30s.")),
    }
}

fn snapshot(value: &HeaderValue) -> Result<bool, EddyError> {
    match value.as_bytes() {
        b"snapshot" => Ok(true),
        b"live" => Ok(false),
        _ => Err(EddyError::new(
            ErrorCode::InvalidArgument,
            format!("the header Eddy-Consistency says {value:?}"),
        )
        .hint("Send \"live\" (the default) or \"snapshot\".")),
    }
}

/// Whether a trace context is well formed. One that is not is left out, as its specification wants.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hex = |length| {
        parts.next().is_some_and(|part| {
            part.len() == length
                && part
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let well_formed = hex(2) && hex(32) && hex(16) && hex(2);
    well_formed && text.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> Result<CallOptions, EddyError> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        call_options(&headers)
    }

    #[test]
    fn keys_come_bare_or_quoted() {
        for text in ["8e03978e", "\"8e03978e\""] {
            let options = with(IDEMPOTENCY_KEY, text).expect("a good key");
            assert_eq!(options.idempotency_key.as_deref(), Some("8e03978e"));
        }
        for bad in ["", "\"\"", &"x".repeat(256)] {
            assert!(with(IDEMPOTENCY_KEY, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn timeouts_need_a_unit_and_some_length() {
        let options = with(TIMEOUT, "1m 30s").expect("a good time");
        assert_eq!(options.timeout, Some(Duration::from_secs(90)));
        for bad in ["2", "0s", "soon", "-1s", ""] {
            let error = with(TIMEOUT, bad).expect_err(bad);
            assert_eq!(error.code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn a_header_twice_is_refused() {
        let mut headers = HeaderMap::new();
        for value in ["1s", "2s"] {
            headers.append(TIMEOUT, HeaderValue::from_static(value));
        }
        let error = call_options(&headers).expect_err("which one?");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn only_known_consistencies_pass() {
        assert!(with(CONSISTENCY, "snapshot").expect("known").snapshot);
        assert!(!with(CONSISTENCY, "live").expect("known").snapshot);
        assert!(with(CONSISTENCY, "eventual").is_err());
    }

    #[test]
    fn a_malformed_trace_is_dropped() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            with(TRACEPARENT, good).expect("ok").traceparent.as_deref(),
            Some(good)
        );
        assert_eq!(with(TRACEPARENT, "00-zz").expect("ok").traceparent, None);
    }

    #[test]
    fn preferences_may_come_in_a_list() {
        let mut headers = HeaderMap::new();
        assert!(!responds_async(&headers));
        headers.insert(PREFER, HeaderValue::from_static("wait=5, Respond-Async"));
        assert!(responds_async(&headers));
    }
}
