//! What `wasi:http` promises to whoever uses it, tried from inside.

use crate::end;
use crate::outgoing::request;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, HeaderError, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    RequestOptions,
};

/// The rules that do not hold, a line for each.
pub fn broken() -> String {
    let rules = [fields, names, fixed, responses, requests, lengths, options];
    let mut broken: Vec<&str> = rules.iter().flat_map(|rule| rule()).collect();
    broken.dedup();
    broken.join("\n")
}

/// Those that do not hold.
fn failing(rules: &[(&'static str, bool)]) -> Vec<&'static str> {
    let failing = rules.iter().filter(|(_, holds)| !holds);
    failing.map(|(rule, _)| *rule).collect()
}

fn fields() -> Vec<&'static str> {
    let fields = Fields::from_list(&[
        ("X-One".to_owned(), b"1".to_vec()),
        ("x-one".to_owned(), b"2".to_vec()),
    ])
    .expect("good fields");
    let copy = fields.clone();
    let changed = fields.set("x-one", &[b"3".to_vec()]);
    let rules = [
        ("names ignore case", copy.get("x-ONE") == [b"1", b"2"]),
        (
            "set replaces",
            changed.is_ok() && fields.get("x-one") == [b"3"],
        ),
        ("a copy is apart", copy.get("x-one").len() == 2),
        ("what is not there is empty", fields.get("x-two").is_empty()),
        ("has", fields.has("x-one") && !fields.has("x-two")),
        (
            "delete",
            fields.delete("x-one").is_ok() && fields.entries().is_empty(),
        ),
    ];
    failing(&rules)
}

fn names() -> Vec<&'static str> {
    let fields = Fields::new();
    let refused = |name: &str, value: &[u8]| fields.append(name, value);
    let mut rules = vec![
        (
            "a name is a token",
            matches!(refused("no space", b"x"), Err(HeaderError::InvalidSyntax)),
        ),
        (
            "a value is one line",
            matches!(refused("x", b"a\r\nb: c"), Err(HeaderError::InvalidSyntax)),
        ),
        (
            "a length is a number",
            matches!(
                refused("content-length", b"+1"),
                Err(HeaderError::InvalidSyntax)
            ),
        ),
    ];
    for name in [
        "Connection",
        "host",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
    ] {
        let forbidden = matches!(refused(name, b"x"), Err(HeaderError::Forbidden));
        rules.push(("headers of the connection are forbidden", forbidden));
    }
    failing(&rules)
}

/// What belongs to a message that is made already is not to be changed.
fn fixed() -> Vec<&'static str> {
    let response = OutgoingResponse::new(Fields::new());
    let headers = response.headers();
    let changed = headers.append("x-late", b"x");
    let request = OutgoingRequest::new(Fields::new());
    let deleted = request.headers().delete("x-late");
    let rules = [
        (
            "headers of an answer are fixed",
            matches!(changed, Err(HeaderError::Immutable)),
        ),
        (
            "headers of a request are fixed",
            matches!(deleted, Err(HeaderError::Immutable)),
        ),
        (
            "a copy of them is not",
            headers.clone().append("x-late", b"x").is_ok(),
        ),
    ];
    failing(&rules)
}

fn responses() -> Vec<&'static str> {
    let response = OutgoingResponse::new(Fields::new());
    let (first, second) = (response.body(), response.body());
    let rules = [
        ("an answer is 200 at first", response.status_code() == 200),
        (
            "a status has three digits",
            response.set_status_code(1000).is_err(),
        ),
        ("an answer has one body", first.is_ok() && second.is_err()),
        (
            "a body has one stream",
            first.is_ok_and(|body| {
                let stream = body.write();
                stream.is_ok() && body.write().is_err()
            }),
        ),
    ];
    failing(&rules)
}

fn requests() -> Vec<&'static str> {
    let request = OutgoingRequest::new(Fields::new());
    let bad_method = Method::Other("NOT GOOD".to_owned());
    let rules = [
        (
            "a request is a GET at first",
            matches!(request.method(), Method::Get),
        ),
        (
            "a method is a token",
            request.set_method(&bad_method).is_err(),
        ),
        (
            "a path is a path",
            request
                .set_path_with_query(Some("http://other.example/"))
                .is_err(),
        ),
        (
            "an authority is one",
            request.set_authority(Some("a b")).is_err(),
        ),
        (
            "a request has one body",
            request.body().is_ok() && request.body().is_err(),
        ),
    ];
    failing(&rules)
}

/// A body has as many bytes as was said.
fn lengths() -> Vec<&'static str> {
    let fields = Fields::from_list(&[("content-length".to_owned(), b"3".to_vec())]);
    let response = OutgoingResponse::new(fields.expect("good fields"));
    let body = response.body().expect("asked for once");
    let stream = body.write().expect("asked for once");
    let wrote = stream.blocking_write_and_flush(b"1");
    drop(stream);
    let short = OutgoingBody::finish(body, None);

    let fields = Fields::from_list(&[("content-length".to_owned(), b"3".to_vec())]);
    let announced = OutgoingRequest::new(fields.expect("good fields"));
    announced
        .set_authority(Some("127.0.0.1:9"))
        .expect("an authority");
    let sent = handle(announced, None);
    let rules = [
        ("a body may be written in pieces", wrote.is_ok()),
        (
            "a body that is too short is an error",
            matches!(short, Err(ErrorCode::HttpResponseBodySize(Some(1)))),
        ),
        (
            "a request without the body that it announces is an error",
            matches!(sent, Err(ErrorCode::HttpRequestBodySize(_))),
        ),
    ];
    failing(&rules)
}

fn options() -> Vec<&'static str> {
    let options = RequestOptions::new();
    let set = options.set_first_byte_timeout(Some(5));
    let unsent = request("127.0.0.1:9", &Method::Post);
    end(unsent.body().expect("asked for once"));
    let rules = [
        (
            "a time-out is kept",
            set.is_ok() && options.first_byte_timeout() == Some(5),
        ),
        ("the others stay unset", options.connect_timeout().is_none()),
    ];
    failing(&rules)
}
