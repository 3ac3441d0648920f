//! Values that nobody expects: results, errors, names.

use crate::bindings::eddy::platform::{effects, outbox};
use crate::support::{Failure, NULL, failure, parse, to_json, told};
use serde::Deserialize;

/// A result that is none.
pub fn returns(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    const MANY: usize = 400_000;
    Ok(match parse::<String>(argument)?.as_str() {
        "not-utf8" => b"\"\xff\xfe\"".to_vec(),
        "surrogate" => b"\"\xed\xa0\x80\"".to_vec(),
        "empty" => Vec::new(),
        "nan" => b"NaN".to_vec(),
        "infinity" => b"[1e999]".to_vec(),
        "two" => b"1 2".to_vec(),
        "nul" => b"\"a\0b\"".to_vec(),
        "huge" => [b"\"", vec![b'x'; 20 << 20].as_slice(), b"\""].concat(),
        "large" => [b"\"", vec![b'x'; 2 << 20].as_slice(), b"\""].concat(),
        "nested" => [vec![b'['; MANY], vec![b']'; MANY]].concat(),
        "open" => vec![b'['; 2 * MANY],
        "keys" => [b"{", b"\"a\":1,".repeat(100_000).as_slice(), b"\"a\":1}"].concat(),
        other => return Err(failure("bad-argument", other)),
    })
}

/// An error that is none, or somebody else's.
pub fn fails(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let long = || "\u{1b}[31mx\0\n".repeat(500_000);
    let what: String = parse(argument)?;
    let nothing = failure("Error", "m");
    Err(match what.as_str() {
        "long" => Failure {
            code: long(),
            message: long(),
            stack: Some(long()),
            ..nothing
        },
        "huge" => Failure {
            message: "x".repeat(20 << 20),
            ..nothing
        },
        "details" => Failure {
            details: Some([vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat()),
            ..nothing
        },
        "no-details" => Failure {
            details: Some(b"\xff{".to_vec()),
            ..nothing
        },
        "memory" => failure("MemoryError", "out of memory"),
        status if status.parse::<u16>().is_ok() => Failure {
            status: status.parse().ok(),
            ..nothing
        },
        code => failure(code, "as the node says it"),
    })
}

#[derive(Deserialize)]
struct Address {
    agent_type: String,
    key: String,
    method: String,
}

/// A call, a send and an invocation to an address: what each came to.
pub fn address(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let to: Address = parse(argument)?;
    let call = told(effects::call(&to.agent_type, &to.key, &to.method, NULL));
    let send = outbox::send(&to.agent_type, &to.key, &to.method, NULL);
    let send = send.map_or_else(|failure| failure.code, |()| "ok".to_owned());
    let invoke = told(effects::invoke(&to.agent_type, NULL));
    Ok(to_json(&(call, send, invoke)))
}
