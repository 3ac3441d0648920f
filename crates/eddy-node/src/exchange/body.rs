//! Bodies on their way through: one that has to keep coming, and those that nobody reads. The answer that a client reads
//! is in `delivered`.

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

/// Whether an answer has no body by its status.
pub(super) fn is_without_body(response: &http::Response<HttpBody>) -> bool {
    matches!(
        response.status(),
        http::StatusCode::NO_CONTENT | http::StatusCode::NOT_MODIFIED
    )
}

/// Reads a body that nobody wants to its end, for at most `within`: a handler that writes for longer writes for nobody.
pub(super) async fn drain(mut body: HttpBody, client: Client, within: Duration) {
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    served_by(read, client, within).await;
}

/// Lets `end` come within some time. Then the client has all that it gets, else it counts as gone.
pub(super) async fn served_by(end: impl Future, client: Client, within: Duration) {
    if tokio::time::timeout(within, end).await.is_ok() {
        client.served();
    }
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
    use futures::StreamExt as _;
    use http_body_util::StreamBody;

    #[tokio::test]
    async fn what_nobody_reads_is_not_made_for_ever() {
        let within = Duration::from_millis(5);
        let piece = || Ok(Frame::data(Bytes::from_static(b"x")));
        let short = futures::stream::iter([piece()]);
        let gone = CancellationToken::new();
        let body = StreamBody::new(short).boxed_unsync();
        drain(body, Client::new(gone.clone()), within).await;
        assert!(!gone.is_cancelled(), "it ended");

        let endless = futures::stream::once(std::future::ready(piece()));
        let body = StreamBody::new(endless.chain(futures::stream::pending())).boxed_unsync();
        drain(body, Client::new(gone.clone()), within).await;
        assert!(gone.is_cancelled(), "it would never end");
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
