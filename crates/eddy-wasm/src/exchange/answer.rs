//! The answer of a guest on its way out. Its body must not look whole when the guest broke before it had ended it; nor may
//! that of a request that it makes.

use super::{HttpBody, HttpError};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// What a guest answers: a response, or the name of the error that it says it met.
pub type Answer = Result<http::Response<HttpBody>, String>;

/// Called with the answer, once. Must not block.
pub type Respond = Box<dyn FnOnce(Answer) + Send + Sync>;

/// Until this is kept, the guest may still break; dropping it says that it did.
#[derive(Default)]
pub(super) struct Unbroken {
    broken: Arc<AtomicBool>,
    kept: bool,
}

impl Unbroken {
    /// Lets bodies of answers see whether the guest broke.
    pub(super) fn watch(&self, respond: Respond) -> Respond {
        let broken = self.flag();
        Box::new(move |answer| {
            respond(answer.map(|response| response.map(|body| watched(body, broken))));
        })
    }

    /// Set once the guest broke.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.broken.clone()
    }

    /// The handler has returned.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Unbroken {
    fn drop(&mut self) {
        if !self.kept {
            self.broken.store(true, Ordering::Release);
        }
    }
}

/// A body of the guest's, answer or outbound request, that breaks with it.
pub(super) fn watched(inner: HttpBody, broken: Arc<AtomicBool>) -> HttpBody {
    let ended = false;
    Watched {
        inner,
        broken,
        ended,
    }
    .boxed_unsync()
}

/// A body whose end counts only when its guest did not break.
struct Watched {
    inner: HttpBody,
    broken: Arc<AtomicBool>,
    ended: bool,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            this.ended = true;
            // The guest's part of the body goes after the flag is set.
            if this.broken.load(Ordering::Acquire) {
                return Poll::Ready(Some(Err(HttpError::Closed)));
            }
        }
        polled
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
    use futures::FutureExt as _;
    use http_body_util::Full;
    use parking_lot::Mutex;

    fn body_of(unbroken: &Unbroken) -> HttpBody {
        let sent = Arc::new(Mutex::new(None));
        let kept = sent.clone();
        let respond = unbroken.watch(Box::new(move |answer| *kept.lock() = answer.ok()));
        let body = Full::new(Bytes::from_static(b"some"));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        respond(Ok(http::Response::new(body)));
        let sent = sent.lock().take();
        sent.expect("an answer").into_body()
    }

    fn frames(mut body: HttpBody) -> Vec<Result<usize, HttpError>> {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().now_or_never().expect("it is there") {
            frames.push(frame.map(|frame| frame.data_ref().map_or(0, Bytes::len)));
        }
        frames
    }

    #[test]
    fn a_body_ends_well_only_when_its_guest_does() {
        let mut good = Unbroken::default();
        let body = body_of(&good);
        good.keep();
        drop(good);
        assert_eq!(frames(body), [Ok(4)]);

        let bad = Unbroken::default();
        let body = body_of(&bad);
        drop(bad);
        assert_eq!(frames(body), [Ok(4), Err(HttpError::Closed)]);
    }
}
