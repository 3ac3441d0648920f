//! Reading and writing bodies, and short answers.

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, Trailers,
};
use wasip2::io::streams::{InputStream, OutputStream};

/// Bytes read or written at once.
const PIECE: u64 = 4096;

/// A body that is being written.
pub struct Body {
    stream: Option<OutputStream>,
    body: OutgoingBody,
}

impl Body {
    pub fn of(body: OutgoingBody) -> Self {
        let stream = body.write().expect("asked for once");
        Self {
            stream: Some(stream),
            body,
        }
    }

    /// Whether somebody still reads.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let stream = self.stream.as_ref().expect("it is there until the end");
        let mut pieces = bytes.chunks(PIECE as usize);
        pieces.all(|piece| stream.blocking_write_and_flush(piece).is_ok())
    }

    pub fn finish(mut self, trailers: Option<Trailers>) {
        // The stream belongs to the body, and goes first.
        self.stream = None;
        let _ = OutgoingBody::finish(self.body, trailers);
    }
}

/// The value of a parameter; those of this guest need no decoding but for `%2F` and the like in addresses.
pub fn query(query: &str, name: &str) -> String {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map_or(String::new(), |(_, value)| value.to_owned())
}

/// The next piece; none at the end, and when the other side went away.
pub fn read(stream: &InputStream) -> Option<Vec<u8>> {
    stream.blocking_read(PIECE).ok()
}

/// Reads all of the request.
pub fn body_of(request: &IncomingRequest, mut take: impl FnMut(&[u8])) {
    let body = request.consume().expect("asked for once");
    let stream = body.stream().expect("asked for once");
    while let Some(piece) = read(&stream) {
        take(&piece);
    }
}

/// Begins an answer with what `response` says.
pub fn respond(out: ResponseOutparam, response: OutgoingResponse) -> OutgoingBody {
    let body = response.body().expect("asked for once");
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Begins an answer.
pub fn answer(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Body {
    let fields = Fields::new();
    for (name, value) in headers {
        let set = fields.append(name, value.as_bytes());
        set.expect("a header that may be set");
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("a status");
    Body::of(respond(out, response))
}

/// A whole answer.
pub fn text(out: ResponseOutparam, status: u16, text: &str) {
    let mut body = answer(out, status, &[("content-type", "text/plain")]);
    body.write(text.as_bytes());
    body.finish(None);
}

pub fn sleep(milliseconds: u64) {
    monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
}
