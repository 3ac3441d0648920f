//! Requests that the guest makes while it answers one.

use crate::io::{Body, answer, query, read, text};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingRequest, IncomingResponse,
    Method, OutgoingRequest, RequestOptions, ResponseOutparam, Scheme,
};

/// The answer of another server, piece by piece; or the name of the error.
pub fn fetch(out: ResponseOutparam, asked: &str) {
    let request = request(&query(asked, "to"), &Method::Get);
    let options = RequestOptions::new();
    let wait = query(asked, "wait").parse::<u64>().ok();
    let wait = wait.map(|milliseconds| milliseconds * 1_000_000);
    options.set_connect_timeout(wait).expect("it is taken");
    options.set_first_byte_timeout(wait).expect("it is taken");
    options
        .set_between_bytes_timeout(wait)
        .expect("it is taken");
    let came = handle(request, Some(options)).and_then(wait_for);
    pass_on(out, came);
}

/// The body of the request goes to another server, whose answer comes back.
pub fn forward(incoming: &IncomingRequest, out: ResponseOutparam, asked: &str) {
    let request = request(&query(asked, "to"), &Method::Post);
    let mut body = Body::of(request.body().expect("asked for once"));
    let came = match handle(request, None) {
        Ok(came) => came,
        Err(code) => return text(out, 502, &format!("{code:?}")),
    };
    crate::io::body_of(incoming, |piece| {
        body.write(piece);
    });
    body.finish(None);
    pass_on(out, wait_for(came));
}

/// Two requests that are under way together.
pub fn both_at_once(out: ResponseOutparam, asked: &str) {
    let to = query(asked, "to");
    let both: Vec<_> = (0..2)
        .map(|_| handle(request(&to, &Method::Get), None))
        .collect();
    let came = both.into_iter().map(|one| one.and_then(wait_for));
    let statuses: Vec<_> = came
        .map(|came| came.map_or(0, |response| response.status()))
        .collect();
    text(out, 200, &format!("{statuses:?}"));
}

/// A request to `authority/path` in plain text, or to `https:authority/path`; with headers that are for one connection.
pub fn request(to: &str, method: &Method) -> OutgoingRequest {
    let (scheme, to) = match to.strip_prefix("https:") {
        Some(to) => (Scheme::Https, to),
        None => (Scheme::Http, to),
    };
    let (authority, path) = to.split_once('/').unwrap_or((to, ""));
    let fields = Fields::new();
    for (name, value) in [("x-guest", "yes"), ("te", "trailers"), ("expect", "100-continue")] {
        let own = fields.append(name, value.as_bytes());
        own.expect("a header that may be set");
    }
    let request = OutgoingRequest::new(fields);
    request.set_method(method).expect("a method");
    request.set_scheme(Some(&scheme)).expect("a scheme");
    request
        .set_authority(Some(authority))
        .expect("an authority");
    let path = format!("/{path}");
    request.set_path_with_query(Some(&path)).expect("a path");
    request
}

fn wait_for(came: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    came.subscribe().block();
    came.get().expect("it is there").expect("taken once")
}

fn pass_on(out: ResponseOutparam, came: Result<IncomingResponse, ErrorCode>) {
    let response = match came {
        Ok(response) => response,
        Err(code) => return text(out, 502, &format!("{code:?}")),
    };
    let status = response.status().to_string();
    let mut body = answer(out, 200, &[("x-status", &status)]);
    let incoming = response.consume().expect("asked for once");
    let stream = incoming.stream().expect("asked for once");
    while let Some(piece) = read(&stream) {
        if !body.write(&piece) {
            return;
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    body.finish(None);
}
