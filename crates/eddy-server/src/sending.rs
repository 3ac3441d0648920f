//! Large answers on their way out. Each keeps the room of its request until its client has read it, or is given up. What an
//! app answers takes the same way within the node.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use eddy_node::{HttpError, Node, TenantPermit};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;

/// An answer that is no larger goes out as it is. Also what is handed to a connection at once of a larger one: it holds a
/// piece of each answer, whether its client reads or not.
const SMALL: usize = 16 << 10;

/// The room that a request of the API takes.
pub(crate) struct Permits {
    pub(crate) _tenant: Arc<TenantPermit>,
    pub(crate) _node: OwnedSemaphorePermit,
}

/// Lets an answer go out. Small ones need their room no more.
pub(crate) fn send(node: &Node, response: Response, permits: Permits) -> Response {
    let length = response.body().size_hint().exact();
    if length.is_some_and(|length| length <= SMALL as u64) {
        return response;
    }
    // What goes on without an end has places of its own.
    let held = length.map(|_| permits);
    let response = response.map(|body| Pieces::new(body).boxed_unsync());
    node.deliver(response, held).map(Body::new)
}

/// A body in small pieces.
struct Pieces {
    inner: Body,
    rest: Bytes,
}

impl Pieces {
    fn new(inner: Body) -> Self {
        let rest = Bytes::new();
        Self { inner, rest }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => return Poll::Ready(None),
                Some(Err(_)) => return Poll::Ready(Some(Err(HttpError::Closed))),
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Ok(Ok(data))) if data.len() <= SMALL => {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Ok(Ok(data))) => this.rest = data,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(SMALL));
        // A copy: a part of the whole would hold the whole.
        let piece = Bytes::copy_from_slice(&piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_hold_nothing_but_themselves() {
        let text: Vec<u8> = (0..SMALL * 2 + 1).map(|n| (n % 251) as u8).collect();
        let whole = Bytes::from(text.clone());
        let mut body = Pieces::new(Body::from(whole.clone()));
        let mut came = Vec::new();
        while !body.is_end_stream() {
            let left = (text.len() - came.len()) as u64;
            assert_eq!(body.size_hint().exact(), Some(left));
            let piece = body.frame().await.expect("a piece").expect("whole");
            let piece = piece.into_data().expect("data");
            assert!(piece.len() <= SMALL);
            came.extend_from_slice(&piece);
            // Only the rest has a part in it.
            assert_eq!(whole.is_unique(), body.is_end_stream());
        }
        assert!(came == text, "as it was");
        assert!(body.frame().await.is_none());
    }
}
