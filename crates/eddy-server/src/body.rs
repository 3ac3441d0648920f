//! Reading bodies within their limits: an argument as JSON text that is checked and kept as it
//! is, a deploy as a document. A body that is too large is never held in memory.

use crate::room::{Room, Share};
use crate::state::Shared;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use eddy_node::Session;
use eddy_types::limits::{BODY_READ_TIMEOUT, MAX_PAYLOAD_BYTES};
use eddy_types::{EddyError, ErrorCode, TenantId};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A body smaller than this needs no permit: the number of requests bounds them.
const SMALL: usize = 16 << 10;
/// How much of a body that is too large is taken off the wire and thrown away, so that a client
/// that writes all before it reads still sees the answer.
const DISCARD_BYTES: usize = 256 << 20;
/// The longest that takes.
const DISCARD_WITHIN: Duration = Duration::from_secs(5);

/// How slowly a body may come: whoever trickles one holds its room for so long and no longer.
#[derive(Clone, Copy)]
struct Pace {
    /// The longest pause.
    pause: Duration,
    /// What every body may take.
    start: Duration,
    /// What each unit of the body that has come adds.
    per_unit: Duration,
}

/// Part of docs/limits.md, beside [`BODY_READ_TIMEOUT`].
const PACE: Pace = Pace {
    pause: BODY_READ_TIMEOUT,
    start: Duration::from_secs(60),
    per_unit: Duration::from_secs(1),
};
/// The unit of [`Pace`]: 64 KiB.
const PACE_UNIT: usize = 64 << 10;

/// A body, and its share of the room for large ones.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: Option<Share>,
}

/// The argument of a call: JSON text, `null` for an empty body.
pub(crate) async fn argument(
    shared: &Shared,
    parts: &Parts,
    body: Body,
) -> Result<Held, EddyError> {
    let mut held = read(shared, parts, body, MAX_PAYLOAD_BYTES).await?;
    if held.bytes.is_empty() {
        held.bytes = Bytes::from_static(b"null");
    } else {
        check_json(&held.bytes)?;
    }
    Ok(held)
}

/// Largest document about a token or a tenant, in bytes.
const MAX_DOCUMENT: usize = 256 << 10;

/// Reads a small document of the API.
pub(crate) async fn document<T: DeserializeOwned>(
    shared: &Shared,
    request: Request,
) -> Result<T, EddyError> {
    let (parts, body) = request.into_parts();
    let held = read(shared, &parts, body, MAX_DOCUMENT).await?;
    serde_json::from_slice(&held.bytes).map_err(|error| {
        let code = match error.classify() {
            serde_json::error::Category::Data => ErrorCode::InvalidArgument,
            _ => ErrorCode::InvalidJson,
        };
        EddyError::new(code, format!("the body of the request: {error}"))
            .hint("See /v1/openapi.json for its form.")
    })
}

/// Reads a body of at most `limit` bytes, in room of the tenant that the request is for.
pub(crate) async fn read(
    shared: &Shared,
    parts: &Parts,
    body: Body,
    limit: usize,
) -> Result<Held, EddyError> {
    let session = parts.extensions.get::<Session>();
    let session = session.ok_or_else(|| EddyError::internal("a request came from nobody"))?;
    let whose = (&shared.bodies, session.tenant());
    read_at(PACE, whose, &parts.headers, body, limit).await
}

async fn read_at(
    pace: Pace,
    (bodies, tenant): (&Arc<Room>, &TenantId),
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<Held, EddyError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|text| text.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        // A client that asked first has sent nothing, and reading would tell it to go on.
        let waits = headers.contains_key(header::EXPECT);
        return Err(too_large(waits, body, limit).await);
    }
    let mut room = match announced {
        Some(length) if length <= SMALL => None,
        // Without a length it may become as large as the limit.
        length => Some(bodies.reserve(tenant, length.unwrap_or(limit))?),
    };
    let Some(bytes) = collect(pace, &mut body, announced, limit).await? else {
        return Err(too_large(false, body, limit).await);
    };
    // One that came without a length did not need all of it.
    if let Some(room) = &mut room {
        room.shrink(bytes.len());
    }
    Ok(Held { bytes, _room: room })
}

/// The whole body; none when it is larger than `limit`.
async fn collect(
    pace: Pace,
    body: &mut Body,
    announced: Option<usize>,
    limit: usize,
) -> Result<Option<Bytes>, EddyError> {
    let began = Instant::now();
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let came = whole.len() + joined.len();
        let Some(chunk) = next_chunk(pace, began, came, body).await? else {
            break;
        };
        if came + chunk.len() > limit {
            return Ok(None);
        }
        if came == 0 {
            whole = chunk;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(announced.unwrap_or(0).max(came + chunk.len()));
            joined.extend_from_slice(&std::mem::take(&mut whole));
        }
        joined.extend_from_slice(&chunk);
    }
    Ok(Some(if joined.is_empty() {
        whole
    } else {
        joined.freeze()
    }))
}

impl Pace {
    /// When a body of which so many bytes have come has taken too long.
    fn ends(self, began: Instant, came: usize) -> Instant {
        let units = u32::try_from(came / PACE_UNIT).unwrap_or(u32::MAX);
        began + self.start + self.per_unit.saturating_mul(units)
    }
}

/// The next non-empty piece; none at the end.
async fn next_chunk(
    pace: Pace,
    began: Instant,
    came: usize,
    body: &mut Body,
) -> Result<Option<Bytes>, EddyError> {
    loop {
        let pause = Instant::now() + pace.pause;
        let until = pause.min(pace.ends(began, came));
        let frame = match tokio::time::timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => frame.map_err(|error| broken(error.to_string()))?,
            Err(_) if until == pause => {
                return Err(broken(format!("nothing came for {:?}", pace.pause)));
            }
            Err(_) => {
                let taken = began.elapsed();
                return Err(broken(format!("only {came} bytes came in {taken:.0?}")));
            }
        };
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {}
        }
    }
}

fn broken(why: String) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidArgument,
        format!("the body could not be read: {why}"),
    )
    .hint("Send the whole body, as long as Content-Length says, without long pauses.")
}

async fn too_large(waits: bool, mut body: Body, limit: usize) -> EddyError {
    if !waits {
        let discard = async {
            let mut left = DISCARD_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // Too slow: the answer goes out and the connection ends.
        let _ = tokio::time::timeout(DISCARD_WITHIN, discard).await;
    }
    EddyError::new(
        ErrorCode::PayloadTooLarge,
        format!("the body is larger than {limit} bytes"),
    )
    .hint("Send less, or keep large data outside and send a reference to it.")
}

/// `invalid-json` with line and column unless `bytes` are one JSON value in UTF-8.
pub(crate) fn check_json(bytes: &[u8]) -> Result<(), EddyError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        invalid_json(format!("it is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    serde_json::from_str::<IgnoredAny>(text)
        .map(drop)
        .map_err(|error| invalid_json(error.to_string()))
}

pub(crate) fn invalid_json(why: impl std::fmt::Display) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidJson,
        format!("the body is not JSON: {why}"),
    )
    .hint("Send one JSON value, or an empty body for null.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_placed() {
        for good in ["null", " {\"a\": [1, 2.5e3, \"ä\"]} ", "\"x\""] {
            assert_eq!(check_json(good.as_bytes()), Ok(()), "{good}");
        }
        let error = check_json(b"{\n  \"a\": }").expect_err("a value is missing");
        assert_eq!(
            error.detail,
            "the body is not JSON: expected value at line 2 column 8"
        );
        assert!(check_json(b"\"\xff\"").is_err());
        assert!(check_json(b"1 2").is_err());
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(400_000) + &"]".repeat(400_000);
        assert_eq!(check_json(deep.as_bytes()), Ok(()));
    }

    /// A body that comes in pieces of so many bytes, with a pause before each.
    fn trickle(pieces: usize, bytes: usize, pause: Duration) -> Body {
        let pieces = futures::stream::unfold(0, move |n| async move {
            tokio::time::sleep(pause).await;
            let piece = Ok::<_, std::io::Error>(Bytes::from(vec![b' '; bytes]));
            (n < pieces).then_some((piece, n + 1))
        });
        Body::from_stream(pieces)
    }

    const LIMIT: usize = 400 << 10;

    /// What the default tenant could have.
    fn left(room: &Arc<Room>) -> usize {
        let fits = |bytes: &usize| room.reserve(&TenantId::default_tenant(), *bytes).is_ok();
        (0..=LIMIT).rev().find(fits).unwrap_or_default()
    }

    const QUICK: Pace = Pace {
        pause: Duration::from_secs(2),
        start: Duration::from_millis(300),
        per_unit: Duration::from_secs(60),
    };

    #[tokio::test]
    async fn a_body_that_trickles_ends_and_gives_its_room_back() {
        let (bodies, tenant) = (Room::new(LIMIT), TenantId::default_tenant());
        let none = HeaderMap::new();
        let read = |body| read_at(QUICK, (&bodies, &tenant), &none, body, LIMIT);
        // Each piece is in time, and all of them would take a minute.
        let slow = trickle(1200, 1, Duration::from_millis(50));
        let error = read(slow).await.err().expect("it takes too long");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.detail.contains("bytes came in"), "{}", error.detail);
        assert_eq!(left(&bodies), LIMIT);
        // A large one may take its time.
        let large = read(trickle(4, PACE_UNIT, Duration::from_millis(150))).await;
        assert_eq!(large.ok().map(|held| held.bytes.len()), Some(4 * PACE_UNIT));
    }

    #[tokio::test]
    async fn what_a_body_did_not_need_is_free_again() {
        let (bodies, tenant) = (Room::new(LIMIT), TenantId::default_tenant());
        let body = trickle(2, 1000, Duration::ZERO);
        let held = read_at(PACE, (&bodies, &tenant), &HeaderMap::new(), body, LIMIT).await;
        assert!(held.is_ok());
        assert_eq!(left(&bodies), LIMIT - 2000);
        drop(held);
        assert_eq!(left(&bodies), LIMIT);
    }
}
