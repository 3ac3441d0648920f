//! `cargo xtask`: everything that is done to the project, in one place.
//!
//! - `test`: all checks and all tests; what CI runs.
//! - `bench`: the benchmarks (built in release mode).
//! - `guests`: builds the prebuilt WebAssembly components anew.
//! - `book`: builds the book in HTML.
//! - `openapi`: writes docs/openapi.json anew.

mod steps;
mod tools;

use anyhow::{Result, bail};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("test") => steps::test(rest),
        Some("bench") => steps::bench(rest),
        Some("guests") => steps::guests(),
        Some("book") => steps::book(),
        Some("openapi") => steps::openapi(),
        _ => usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> Result<()> {
    bail!(
        "usage: cargo xtask test | bench [SUITE...] [--peers] [--record] | guests | book | openapi"
    )
}
