//! Why an outbound request or a body failed, as the node says it, and as `wasi:http` does.

use std::fmt;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// Why an outbound request or a body failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The app may not make this request.
    Denied,
    /// The name of the host leads to an address that the app may not reach.
    AddressDenied,
    /// The address is not one.
    InvalidAddress,
    /// The name of the host leads nowhere.
    UnknownHost,
    /// The other side takes no connection.
    Refused,
    /// No way leads to the host.
    Unreachable,
    /// The other side did not take the connection in time.
    ConnectTimeout,
    /// The connection ended, or the other side gave up.
    Closed,
    /// The other side's certificate is not good, or it speaks no TLS.
    Tls,
    /// No answer came in time.
    ResponseTimeout,
    /// Nothing more of a body came in time.
    ReadTimeout,
    /// Too many requests are under way, or were made.
    TooMany,
    /// The other side does not speak HTTP.
    Protocol,
    /// The node failed.
    Internal(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "the request is not allowed",
            Self::AddressDenied => "the host's address is not allowed",
            Self::InvalidAddress => "the address is not a URL",
            Self::UnknownHost => "there is no such host",
            Self::Refused => "the host takes no connection",
            Self::Unreachable => "no way leads to the host",
            Self::ConnectTimeout => "the host did not take the connection in time",
            Self::Closed => "the connection ended early",
            Self::Tls => "TLS failed",
            Self::ResponseTimeout => "no answer came in time",
            Self::ReadTimeout => "the rest of the body did not come in time",
            Self::TooMany => "too many requests",
            Self::Protocol => "the other side broke the rules of HTTP",
            Self::Internal(why) => why,
        })
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied => Self::HttpRequestDenied,
            HttpError::AddressDenied => Self::DestinationIpProhibited,
            HttpError::InvalidAddress => Self::HttpRequestUriInvalid,
            HttpError::UnknownHost => Self::DestinationNotFound,
            HttpError::Refused => Self::ConnectionRefused,
            HttpError::Unreachable => Self::DestinationUnavailable,
            HttpError::ConnectTimeout => Self::ConnectionTimeout,
            HttpError::Closed => Self::ConnectionTerminated,
            HttpError::Tls => Self::TlsProtocolError,
            HttpError::ResponseTimeout => Self::HttpResponseTimeout,
            HttpError::ReadTimeout => Self::ConnectionReadTimeout,
            HttpError::TooMany => Self::ConnectionLimitReached,
            HttpError::Protocol => Self::HttpProtocolError,
            HttpError::Internal(why) => Self::InternalError(Some(why)),
        }
    }
}

/// What a guest did to a body that it writes.
impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionReadTimeout => Self::ReadTimeout,
            Error::HttpProtocolError => Self::Protocol,
            _ => Self::Closed,
        }
    }
}

/// The name of an error code as `wasi:http` writes it, in lower case: `http-request-denied`.
pub(super) fn name_of(code: &ErrorCode) -> String {
    let text = format!("{code:?}");
    let name = text
        .split_once("ErrorCode::")
        .map_or(&*text, |(_, name)| name);
    let name = name.split(['(', '{', ' ']).next().unwrap_or_default();
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names() {
        assert_eq!(name_of(&ErrorCode::DnsTimeout), "dns-timeout");
        let internal = ErrorCode::InternalError(Some("ErrorCode::X (y)".to_owned()));
        assert_eq!(name_of(&internal), "internal-error");
        assert_eq!(
            name_of(&ErrorCode::HttpResponseBodySize(Some(1))),
            "http-response-body-size"
        );
    }
}
