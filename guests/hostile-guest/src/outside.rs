//! Attacks on what is outside: hosts, files, sockets, the environment of the node and of others.

use crate::bindings::eddy::platform::context;
use crate::bindings::eddy::platform::effects::{self, HttpRequest};
use crate::support::{Failure, parse, to_json, told};
use serde::Deserialize;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

#[derive(Deserialize)]
struct Request {
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

fn fetch(request: Request, body: Option<Vec<u8>>) -> Result<effects::Pending, Failure> {
    effects::fetch(&HttpRequest {
        method: if body.is_some() { "POST" } else { "GET" }.to_owned(),
        url: request.url,
        headers: request.headers,
        body,
    })
}

/// Requests, and what came of each.
pub fn reach(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let requests: Vec<Request> = parse(argument)?;
    let all = requests.into_iter();
    let told: Vec<String> = all.map(|request| told(fetch(request, None))).collect();
    Ok(to_json(&told))
}

/// Starts as many requests with large bodies as it may, to an address, and waits for none of them. The
/// answer is how many were begun, and why no more were.
pub fn hold_fetches(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let url: String = parse(argument)?;
    let mut held = Vec::new();
    loop {
        let request = Request {
            url: url.clone(),
            headers: Vec::new(),
        };
        match fetch(request, Some(vec![b'x'; 8 << 20])) {
            Ok(pending) => held.push(pending),
            Err(failure) => return Ok(to_json(&(held.len(), failure.code))),
        }
    }
}

/// Everything of this machine that WASI shows; nothing of it should be there. The argument is a port of
/// this machine on which somebody listens.
pub fn look(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let port: u16 = parse(argument)?;
    let mut found: Vec<String> = Vec::new();
    for path in [
        "/",
        ".",
        "..",
        "/proc",
        "/proc/self/environ",
        "/etc/passwd",
        "/tmp",
        "/dev/fd",
    ] {
        if std::fs::read_dir(path).is_ok() || std::fs::read(path).is_ok() {
            found.push(format!("read {path}"));
        }
        if std::fs::write(format!("{path}/guest"), "x").is_ok() {
            found.push(format!("wrote below {path}"));
        }
    }
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "localhost",
    ] {
        let address = format!("{host}:{port}");
        if TcpStream::connect(&address).is_ok() {
            found.push(format!("connected to {address}"));
        }
        let udp = UdpSocket::bind("127.0.0.1:0").and_then(|udp| udp.send_to(b"x", &address));
        if udp.is_ok() {
            found.push(format!("sent to {address}"));
        }
    }
    for name in ["localhost:80", "example.com:80"] {
        if name
            .to_socket_addrs()
            .is_ok_and(|mut found| found.next().is_some())
        {
            found.push(format!("resolved {name}"));
        }
    }
    for address in ["127.0.0.1:0", "[::]:0"] {
        if TcpListener::bind(address).is_ok() {
            found.push(format!("listens on {address}"));
        }
    }
    found.extend(std::env::args().map(|argument| format!("argument {argument}")));
    let mut line = String::new();
    if std::io::stdin()
        .read_line(&mut line)
        .is_ok_and(|read| read > 0)
    {
        found.push(format!("read from stdin: {line}"));
    }
    Ok(to_json(&found))
}

/// What there is of these variables, and all that WASI lists.
pub fn env(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let names: Vec<String> = parse(argument)?;
    let known = names.iter().filter_map(|name| context::env(name));
    let mut known: Vec<String> = known.collect();
    known.extend(std::env::vars().map(|(name, value)| format!("{name}={value}")));
    Ok(to_json(&known))
}

/// A list as the canonical form writes it.
#[repr(C)]
struct List {
    pointer: *mut u8,
    length: usize,
}

#[link(wasm_import_module = "wasi:random/random@0.2.0")]
unsafe extern "C" {
    #[link_name = "get-random-bytes"]
    fn get_random_bytes(length: u64, into: *mut List);
}

/// Random bytes as WASI gives them, in a list that the node has made.
pub fn random_bytes(length: u64) -> Vec<u8> {
    let mut list = List {
        pointer: std::ptr::null_mut(),
        length: 0,
    };
    // SAFETY: the canonical form of `func(len: u64) -> list<u8>`; the list was allocated by this guest's
    // allocator with the length as its capacity.
    unsafe {
        get_random_bytes(length, &raw mut list);
        Vec::from_raw_parts(list.pointer, list.length, list.length)
    }
}
