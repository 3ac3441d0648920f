//! Attacks by mass: logs without end, invocations that invoke.

use crate::bindings::eddy::platform::context::{self, LogLevel};
use crate::bindings::eddy::platform::effects::{self, Pending};
use crate::support::{Failure, NULL, failure, parse};
use std::io::Write as _;

/// A gigabyte of log in some form.
pub fn log(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    const PART: usize = 1 << 20;
    let what: String = parse(argument)?;
    let part = vec![b'x'; PART];
    let text = String::from_utf8_lossy(&part).into_owned();
    let newlines = vec![b'\n'; PART];
    for _ in 0..(1 << 30) / PART {
        match what.as_str() {
            "lines" => (0..16).for_each(|_| context::log(LogLevel::Error, &text[..PART / 16])),
            "line" => context::log(LogLevel::Error, &text),
            "stdout" => drop(std::io::stdout().write_all(&part)),
            "stderr" => drop(std::io::stderr().write_all(&part)),
            "newlines" => drop(std::io::stdout().write_all(&newlines)),
            "escapes" => context::log(LogLevel::Error, "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n"),
            _ => return Err(failure("bad-argument", &what)),
        }
    }
    Ok(NULL.to_vec())
}

/// Invokes itself so many times at once, and those do the same.
pub fn fork(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let width: usize = parse(argument)?;
    let started = (0..width).map_while(|_| effects::invoke("fork", argument).ok());
    let mut open: Vec<Pending> = started.collect();
    while !open.is_empty() {
        let waiting: Vec<&Pending> = open.iter().collect();
        effects::wait(&waiting)?;
        open.retain(|pending| pending.take().is_none());
    }
    Ok(NULL.to_vec())
}
