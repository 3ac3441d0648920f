//! The body of an answer on its way to a client: it says when its reader is gone, and takes a reader that has stopped for
//! one that is gone. HTTP/2 lets a client keep an answer open without reading any of it.

use super::body::Client;
use bytes::Bytes;
use eddy_wasm::{HttpBody, HttpError};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What an answer takes until it has gone out; given back by being dropped.
pub(super) type Held = Box<dyn Send>;

/// Lets a client read an answer. The future ends with the body, and gives up a reader that takes no piece for `pause`
/// while there is one. `client` is who a guest makes the answer for.
pub(super) fn deliver(
    response: http::Response<HttpBody>,
    client: Option<Client>,
    held: Held,
    pause: Duration,
) -> (http::Response<HttpBody>, impl Future<Output = ()> + Send) {
    let announced = response.headers().get(http::header::CONTENT_LENGTH);
    let left = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let (head, inner) = response.into_parts();
    let mut open = Open {
        inner,
        client,
        left,
        _held: held,
    };
    open.look();
    let since = Turn::default();
    since.set(Some(Instant::now()));
    let shared = Arc::new(Shared {
        open: Mutex::new(Some(open)),
        since: Arc::new(since),
    });
    let (end, ended) = oneshot::channel();
    let body = Delivered {
        shared: shared.clone(),
        _end: end,
    };
    let watching = async move {
        tokio::select! {
            () = shared.stalled(pause) => drop(shared.open.lock().take()),
            _ = ended => {}
        }
    };
    (
        http::Response::from_parts(head, body.boxed_unsync()),
        watching,
    )
}

/// Since when it is the reader's turn; none while the guest is waited for.
#[derive(Default)]
struct Turn(Mutex<Option<Instant>>);

impl Turn {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock() = since;
    }
}

struct Shared {
    /// None when the reader was given up.
    open: Mutex<Option<Open>>,
    since: Arc<Turn>,
}

impl Shared {
    /// Ends when it was the reader's turn for `pause`.
    async fn stalled(&self, pause: Duration) {
        loop {
            let since = *self.since.0.lock();
            let until = since.unwrap_or_else(Instant::now) + pause;
            tokio::time::sleep_until(until).await;
            if since.is_some() && *self.since.0.lock() == since {
                return;
            }
        }
    }
}

/// An answer that is still read.
struct Open {
    inner: HttpBody,
    /// Whom a guest makes it for, until all is delivered.
    client: Option<Client>,
    /// A server that has sent as many bytes as were announced does not look for the end.
    left: Option<u64>,
    _held: Held,
}

impl Open {
    fn look(&mut self) {
        if (self.inner.is_end_stream() || self.left == Some(0))
            && let Some(client) = self.client.take()
        {
            client.served();
        }
    }

    fn note(&mut self, frame: Option<&Result<Frame<Bytes>, HttpError>>) {
        match frame {
            // What broke, broke from inside: the client did not leave.
            None | Some(Err(_)) => self.left = Some(0),
            // Nothing comes after them, and servers do not look.
            Some(Ok(frame)) if frame.is_trailers() => self.left = Some(0),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.left = self.left.map(|left| left.saturating_sub(bytes));
            }
        }
        self.look();
    }
}

/// The body as its reader has it.
struct Delivered {
    shared: Arc<Shared>,
    /// Tells the watch that the reader has let go.
    _end: oneshot::Sender<()>,
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let mut open = self.shared.open.lock();
        let Some(open) = &mut *open else {
            return Poll::Ready(Some(Err(HttpError::Closed)));
        };
        let since = &self.shared.since;
        // Before the guest is asked, so that a piece that comes right then is not overlooked.
        since.set(None);
        let waker = Waker::from(Arc::new(Noting {
            since: since.clone(),
            reader: cx.waker().clone(),
        }));
        let polled = Pin::new(&mut open.inner).poll_frame(&mut Context::from_waker(&waker));
        if let Poll::Ready(frame) = &polled {
            open.note(frame.as_ref());
            since.set(Some(Instant::now()));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let open = self.shared.open.lock();
        open.as_ref().is_some_and(|open| open.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let open = self.shared.open.lock();
        let hint = open.as_ref().map(|open| open.inner.size_hint());
        hint.unwrap_or_default()
    }
}

impl Drop for Delivered {
    /// At once, not when the watch comes to it.
    fn drop(&mut self) {
        let open = self.shared.open.lock().take();
        drop(open);
    }
}

/// Wakes the reader, and notes that it is its turn.
struct Noting {
    since: Arc<Turn>,
    reader: Waker,
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.since.set(Some(Instant::now()));
        self.reader.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, StreamExt as _};
    use http_body_util::{Full, StreamBody};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    const PAUSE: Duration = Duration::from_millis(5);

    fn full(text: &'static str) -> HttpBody {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        body.map_err(|never| match never {}).boxed_unsync()
    }

    type Frames = Vec<Result<Frame<Bytes>, HttpError>>;

    /// The frames, and then nothing more, but no end.
    fn endless(frames: Frames) -> HttpBody {
        let frames = futures::stream::iter(frames).chain(futures::stream::pending());
        StreamBody::new(frames).boxed_unsync()
    }

    fn data() -> Result<Frame<Bytes>, HttpError> {
        Ok(Frame::data(Bytes::from_static(b"x")))
    }

    struct Watched<F> {
        body: HttpBody,
        watching: F,
        gone: CancellationToken,
        held: Arc<()>,
    }

    fn delivered(
        body: HttpBody,
        length: Option<&'static str>,
    ) -> Watched<impl Future<Output = ()> + Send> {
        let (gone, held) = (CancellationToken::new(), Arc::new(()));
        let mut response = http::Response::new(body);
        if let Some(length) = length {
            let value = http::HeaderValue::from_static(length);
            response.headers_mut().insert("content-length", value);
        }
        let place = Box::new(held.clone());
        let client = Some(Client::new(gone.clone()));
        let (response, watching) = deliver(response, client, place, PAUSE);
        Watched {
            body: response.into_body(),
            watching,
            gone,
            held,
        }
    }

    #[test]
    fn a_reader_that_leaves_early_is_gone_and_one_that_has_all_is_not() {
        let early = delivered(full("four"), None);
        drop(early.body);
        assert!(early.gone.is_cancelled());

        let mut whole = delivered(full("four"), Some("4"));
        assert!(whole.body.frame().now_or_never().is_some());
        drop(whole.body);
        assert!(!whole.gone.is_cancelled(), "as much as was announced");

        let empty = delivered(full(""), None);
        drop(empty.body);
        assert!(!empty.gone.is_cancelled(), "there was nothing to read");
        assert_eq!(Arc::strong_count(&empty.held), 1);
    }

    #[test]
    fn trailers_and_a_fault_of_the_guest_are_the_end() {
        for last in [
            Ok(Frame::trailers(http::HeaderMap::new())),
            Err(HttpError::Closed),
        ] {
            let mut answer = delivered(endless(vec![data(), last]), None);
            for _ in 0..2 {
                assert!(answer.body.frame().now_or_never().is_some());
            }
            drop(answer.body);
            assert!(!answer.gone.is_cancelled());
        }
    }

    #[tokio::test]
    async fn a_reader_that_stops_is_given_up() {
        let mut stopped = delivered(endless(vec![data(), data()]), None);
        stopped.body.frame().await.expect("a piece").expect("whole");
        stopped.watching.await;
        assert!(stopped.gone.is_cancelled());
        assert_eq!(Arc::strong_count(&stopped.held), 1, "its places are free");
        let next = stopped.body.frame().await.map(|frame| frame.map(|_| ()));
        assert_eq!(next, Some(Err(HttpError::Closed)), "it never looks whole");

        // One that never began, too.
        let never = delivered(full("four"), None);
        never.watching.await;
        assert!(never.gone.is_cancelled());
    }

    #[tokio::test]
    async fn a_reader_that_waits_for_the_guest_has_all_the_time() {
        let (pieces, body) = mpsc::unbounded_channel();
        let body = futures::stream::unfold(body, |mut body| async {
            body.recv().await.map(|piece| (piece, body))
        });
        let mut waits = delivered(StreamBody::new(Box::pin(body)).boxed_unsync(), None);
        assert!(waits.body.frame().now_or_never().is_none());
        let long = tokio::time::sleep(PAUSE * 10);
        let mut watching = Box::pin(waits.watching);
        tokio::select! {
            () = &mut watching => panic!("it waited for the guest"),
            () = long => {}
        }
        // From now on there is something to take.
        pieces.send(data()).expect("it is read");
        watching.await;
        assert!(waits.gone.is_cancelled());
    }
}
