//! Answers: results as the bytes they are, errors as problem documents.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use eddy_api::{PROBLEM_JSON, Problem, headers};
use eddy_core::MessageId;
use eddy_node::Reply;
use eddy_types::EddyError;
use serde::Serialize;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Seconds in `Retry-After` when the error names none.
const RETRY_AFTER_DEFAULT: u64 = 1;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Box<EddyError>);

impl From<EddyError> for Failure {
    fn from(error: EddyError) -> Self {
        Self(Box::new(error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        problem(&self.0)
    }
}

/// The problem document of an error.
pub(crate) fn problem(error: &EddyError) -> Response {
    let problem = Problem::from(error);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).expect("a problem is plain data");
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if status == StatusCode::UNAUTHORIZED && error.guest.is_none() {
        // RFC 6750, section 3.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let named = error
        .retry_after
        .map(|after| after.as_millis().div_ceil(1000));
    let seconds = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Some(named.unwrap_or(u128::from(RETRY_AFTER_DEFAULT)))
        }
        _ => named,
    };
    if let Some(seconds) = seconds {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
        );
    }
    response
}

/// The answer to a call: the guest's bytes untouched, or its error.
pub(crate) fn outcome(reply: Reply) -> Response {
    let mut response = match reply.outcome {
        Ok(result) => json_bytes(StatusCode::OK, result),
        Err(error) => problem(&error),
    };
    response
        .headers_mut()
        .insert(headers::INVOCATION, invocation_id(reply.invocation));
    response
}

/// The value of `Eddy-Invocation`.
pub(crate) fn invocation_id(id: MessageId) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).expect("an id is hex digits")
}

/// A document of the API.
pub(crate) fn document(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => json_bytes(status, body.into()),
        Err(error) => problem(&EddyError::internal(format!(
            "a document does not encode: {error}"
        ))),
    }
}

/// JSON text as it is.
pub(crate) fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(4);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_types::ErrorCode;
    use std::time::Duration;

    fn retry_after(error: &EddyError) -> Option<String> {
        let response = problem(error);
        let value = response.headers().get(header::RETRY_AFTER)?;
        Some(value.to_str().expect("a number").to_owned())
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        let full = EddyError::new(ErrorCode::MailboxFull, "full");
        assert_eq!(retry_after(&full).as_deref(), Some("1"));
        let later = full.retry_after(Duration::from_millis(2100));
        assert_eq!(retry_after(&later).as_deref(), Some("3"));
        assert_eq!(
            retry_after(&EddyError::new(ErrorCode::InvalidJson, "no")),
            None
        );
    }

    #[test]
    fn a_result_keeps_its_bytes_and_names_its_invocation() {
        let result = Bytes::from_static(b"{ \"n\" : 1.0 }");
        let response = outcome(Reply {
            invocation: MessageId(7),
            outcome: Ok(result),
        });
        assert_eq!(response.status(), StatusCode::OK);
        let id = &response.headers()[headers::INVOCATION];
        assert_eq!(id, "00000000000000000000000000000007");
    }
}
