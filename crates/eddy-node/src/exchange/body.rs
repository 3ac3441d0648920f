//! Bodies on their way through: one that has to keep coming, and one that says when its reader is gone.

use bytes::Bytes;
use eddy_wasm::{HttpBody, HttpError};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// A client that waits for an answer. When this is dropped before it was served, it is gone.
pub(super) struct Client(Option<CancellationToken>);

impl Client {
    pub(super) fn new(gone: CancellationToken) -> Self {
        Self(Some(gone))
    }

    /// It has all that it gets.
    pub(super) fn served(mut self) {
        self.0 = None;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(gone) = self.0.take() {
            gone.cancel();
        }
    }
}

/// The body of an answer. A server that has sent as many bytes as were announced does not look for the end.
pub(super) struct Delivered {
    inner: HttpBody,
    /// Until all is delivered.
    client: Option<Client>,
    left: Option<u64>,
}

impl Delivered {
    /// Looks whether the client takes all of the answer.
    pub(super) fn watch(
        response: http::Response<HttpBody>,
        client: Client,
    ) -> http::Response<HttpBody> {
        let announced = response.headers().get(http::header::CONTENT_LENGTH);
        let left = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|inner| {
            let mut delivered = Self {
                inner,
                client: Some(client),
                left,
            };
            delivered.look();
            delivered.boxed_unsync()
        })
    }

    fn look(&mut self) {
        if (self.inner.is_end_stream() || self.left == Some(0))
            && let Some(client) = self.client.take()
        {
            client.served();
        }
    }
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            None => this.left = Some(0),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.left = this.left.map(|left| left.saturating_sub(bytes));
            }
            Some(Err(_)) => {}
        }
        this.look();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether an answer has no body by its status.
pub(super) fn is_without_body(response: &http::Response<HttpBody>) -> bool {
    matches!(
        response.status(),
        http::StatusCode::NO_CONTENT | http::StatusCode::NOT_MODIFIED
    )
}

/// Reads a body that nobody wants to its end.
pub(super) async fn drain(mut body: HttpBody) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// No body, of a length that is not said.
pub(super) fn none() -> HttpBody {
    struct None;
    impl Body for None {
        type Data = Bytes;
        type Error = HttpError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
            Poll::Ready(Option::None)
        }
    }
    None.boxed_unsync()
}

/// A body of which the next piece has to come in time.
pub(super) struct Paced<B> {
    inner: B,
    pause: Duration,
    /// While somebody waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    pub(super) fn new(inner: B, pause: Duration) -> Self {
        Self {
            inner,
            pause,
            waiting: None,
        }
    }
}

impl<B: Body<Data = Bytes, Error = HttpError> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame);
        }
        let pause = this.pause;
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(waiting.as_mut().poll(cx));
        waiting.as_mut().reset(Instant::now() + pause);
        Poll::Ready(Some(Err(HttpError::ReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, StreamExt as _};
    use http_body_util::{Full, StreamBody};

    fn full(text: &'static str) -> HttpBody {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        body.map_err(|never| match never {}).boxed_unsync()
    }

    fn delivered(body: HttpBody, length: Option<&'static str>) -> (HttpBody, CancellationToken) {
        let gone = CancellationToken::new();
        let mut response = http::Response::new(body);
        if let Some(length) = length {
            let value = http::HeaderValue::from_static(length);
            response.headers_mut().insert("content-length", value);
        }
        let response = Delivered::watch(response, Client::new(gone.clone()));
        (response.into_body(), gone)
    }

    #[test]
    fn a_reader_that_leaves_early_is_gone_and_one_that_has_all_is_not() {
        let (body, gone) = delivered(full("four"), None);
        drop(body);
        assert!(gone.is_cancelled());

        let (mut body, gone) = delivered(full("four"), Some("4"));
        assert!(body.frame().now_or_never().is_some());
        drop(body);
        assert!(!gone.is_cancelled(), "as much as was announced");

        let (body, gone) = delivered(full(""), None);
        drop(body);
        assert!(!gone.is_cancelled(), "there was nothing to read");
    }

    #[tokio::test]
    async fn a_body_has_to_keep_coming() {
        let piece = Ok(Frame::data(Bytes::from_static(b"x")));
        let pieces = futures::stream::once(std::future::ready(piece));
        let pieces = pieces.chain(futures::stream::pending());
        let mut body = Paced::new(StreamBody::new(pieces), Duration::from_millis(5));
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        let late = body.frame().await.map(|frame| frame.map(|_| ()));
        assert_eq!(late, Some(Err(HttpError::ReadTimeout)));
    }
}
