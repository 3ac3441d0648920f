//! A guest for Eddy's tests that answers HTTP: a component for `wasi:http/proxy`, as anybody would write one. The path
//! says what it is to do. The dispatch, and what needs no other side, live here.

mod eddy;
mod io;
mod outgoing;
mod rules;

use io::{Body, answer, body_of, query, read, respond, sleep, text};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};

struct Web;

wasip2::http::proxy::export!(Web);

impl Guest for Web {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path.trim_start_matches("/api") {
            "/about" => text(out, 200, &about(&request)),
            "/echo" => echo(&request, out),
            "/upload" => text(out, 200, &upload(&request).to_string()),
            "/status" => status(out, query),
            "/events" => events(out, query),
            "/forever" => forever(out),
            "/after" => after(out, query),
            "/sleep" => {
                sleep(number(query, "ms"));
                text(out, 200, "slept");
            }
            "/spin" => spin(),
            "/print" => print(out),
            "/refuse" => {
                let why = Some("on purpose".to_owned());
                ResponseOutparam::set(out, Err(ErrorCode::InternalError(why)));
            }
            "/none" => drop(out),
            "/leak" => leak(out),
            "/trap" => trap(out, query),
            "/grow" => grow(),
            "/hoard" => hoard(),
            "/fatten" => fatten(),
            "/fetch" => outgoing::fetch(out, query),
            "/forward" => outgoing::forward(&request, out, query),
            "/twice" => outgoing::both_at_once(out, query),
            "/rules" => text(out, 200, &rules::broken()),
            "/invoke" => eddy::invoke(out, query),
            "/send" => eddy::send(out, query),
            _ => text(out, 404, "no such thing"),
        }
    }
}

fn number(query: &str, name: &str) -> u64 {
    io::query(query, name).parse().unwrap_or_default()
}

/// What it sees of the request, a line for each part.
fn about(request: &IncomingRequest) -> String {
    let mut about = format!(
        "method {:?}\npath {}\nscheme {:?}\nauthority {}\n",
        request.method(),
        request.path_with_query().unwrap_or_default(),
        request.scheme(),
        request.authority().unwrap_or_default(),
    );
    let mut headers = request.headers().entries();
    headers.sort();
    for (name, value) in headers {
        about += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    let mut variables: Vec<_> = wasip2::cli::environment::get_environment();
    variables.sort();
    for (name, value) in variables {
        about += &format!("env {name}={value}\n");
    }
    about
}

/// Every piece goes back as it comes, and then the trailers.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let incoming = request.consume().expect("asked for once");
    let named = request.headers().get("trailer").concat();
    let named = String::from_utf8(named).expect("names of trailers");
    let mut headers = vec![("content-type", "application/octet-stream")];
    if !named.is_empty() {
        headers.push(("trailer", &named));
    }
    let mut body = answer(out, 200, &headers);
    let stream = incoming.stream().expect("asked for once");
    while let Some(piece) = read(&stream) {
        if !body.write(&piece) {
            return;
        }
    }
    drop(stream);
    let trailers = IncomingBody::finish(incoming);
    trailers.subscribe().block();
    let trailers = trailers.get().and_then(Result::ok).and_then(Result::ok);
    // Those that came are not to be changed, so that what goes is a copy.
    let trailers = trailers.flatten().map(|came| came.clone());
    body.finish(trailers);
}

fn upload(request: &IncomingRequest) -> usize {
    let mut bytes = 0;
    body_of(request, |piece| bytes += piece.len());
    bytes
}

fn status(out: ResponseOutparam, asked: &str) {
    let code = u16::try_from(number(asked, "code")).unwrap_or_default();
    let response = OutgoingResponse::new(Fields::new());
    if response.set_status_code(code).is_err() {
        return text(out, 400, "no such status");
    }
    let body = respond(out, response);
    let mut body = Body::of(body);
    body.write(query(asked, "body").as_bytes());
    body.finish(None);
}

/// Server-sent events, with a pause before each.
fn events(out: ResponseOutparam, query: &str) {
    let mut body = answer(out, 200, &[("content-type", "text/event-stream")]);
    for n in 0..number(query, "n") {
        sleep(number(query, "pause"));
        if !body.write(format!("data: {n}\n\n").as_bytes()) {
            println!("the client went away");
            return;
        }
    }
    body.finish(None);
}

/// An answer that has no end.
fn forever(out: ResponseOutparam) {
    let mut body = answer(out, 200, &[]);
    while body.write(b"more\n") {
        sleep(10);
    }
    println!("the client went away");
}

/// Work after the answer is complete.
fn after(out: ResponseOutparam, query: &str) {
    let mut body = answer(out, 200, &[("content-length", "4")]);
    body.write(b"done");
    body.finish(None);
    sleep(number(query, "ms"));
    println!("after the answer");
}

fn print(out: ResponseOutparam) {
    println!("to standard output");
    eprintln!("to standard error");
    text(out, 200, "printed");
}

/// Returns without ending its body.
fn leak(out: ResponseOutparam) {
    let mut body = answer(out, 200, &[]);
    body.write(b"leaked");
    std::mem::forget(body);
}

fn trap(out: ResponseOutparam, asked: &str) {
    if query(asked, "when") == "before" {
        panic!("before the answer");
    }
    let mut body = answer(out, 200, &[]);
    body.write(b"begun");
    panic!("after the answer began");
}

fn spin() {
    loop {
        std::hint::black_box(0);
    }
}

/// Handles without end.
fn hoard() {
    let mut all = Vec::new();
    loop {
        all.push(Fields::new());
    }
}

/// Headers without end.
fn fatten() {
    let fields = Fields::new();
    loop {
        let _ = fields.append("x-more", &[b'x'; 1000]);
    }
}

fn grow() {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&all);
    }
}

/// Ends an outgoing body that nobody writes to.
fn end(body: OutgoingBody) {
    let _ = OutgoingBody::finish(body, None);
}
