//! Answers every request with `"hello"`, the same bytes as the function `hello` of the bench guest.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl Guest for Hello {
    fn handle(_: IncomingRequest, outparam: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("asked for once");
        ResponseOutparam::set(outparam, Ok(response));
        let stream = body.write().expect("asked for once");
        // When the client has gone there is nobody to tell.
        let _ = stream.blocking_write_and_flush(b"\"hello\"");
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Hello);
