//! Attacks that use something up: time, memory, stack, handles, the thread they run on.

use crate::bindings::eddy::platform::{context, effects, state};
use crate::support::{Failure, NULL, failure, parse, to_json};
use std::hint::black_box;

/// Never returns.
#[inline(never)]
pub fn turn() -> ! {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

pub fn spin<T>() -> Result<T, Failure> {
    turn()
}

/// Takes pages until none is given, and touches them. The answer is how many there are.
pub fn grow() -> Result<Vec<u8>, Failure> {
    const STEP: usize = 16;
    loop {
        let before = core::arch::wasm32::memory_grow::<0>(STEP);
        if before == usize::MAX {
            return Ok(to_json(&core::arch::wasm32::memory_size::<0>()));
        }
        // SAFETY: the pages were just made, and nobody else knows of them.
        unsafe { std::ptr::write_bytes((before << 16) as *mut u8, 1, STEP << 16) };
    }
}

/// Allocates and touches memory until it is stopped.
pub fn hog<T>() -> Result<T, Failure> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

#[inline(never)]
fn deeper(n: u64) -> u64 {
    if n == 0 {
        return 1;
    }
    deeper(n.wrapping_mul(3).wrapping_add(1) | 1) ^ deeper(n.wrapping_add(2) | 1)
}

pub fn recurse() -> Result<Vec<u8>, Failure> {
    Ok(to_json(&deeper(1)))
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "that is the attack")]
fn framed(n: u64) -> u64 {
    let mut frame = [0u8; 300_000];
    frame[(n % 300_000) as usize] = 1;
    let frame = black_box(frame);
    framed(n + 1) ^ u64::from(frame[7])
}

/// Frames of 300 kB each.
pub fn frames() -> Result<Vec<u8>, Failure> {
    Ok(to_json(&framed(1)))
}

/// Starts so many effects and drops none of them. The answer says how many were begun, and the codes
/// that the others got.
pub fn handles(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let (mut begun, mut refused) = (0, std::collections::BTreeSet::new());
    for _ in 0..parse::<u32>(argument)? {
        match effects::sleep(u64::MAX) {
            Ok(pending) => {
                begun += 1;
                std::mem::forget(pending);
            }
            Err(failure) => {
                refused.insert(failure.code);
            }
        }
    }
    Ok(to_json(&(begun, refused)))
}

/// Waits for what never comes.
pub fn wait() -> Result<Vec<u8>, Failure> {
    let pending = effects::sleep(u64::MAX)?;
    effects::wait(&[&pending])?;
    Ok(NULL.to_vec())
}

/// Asks the node for the same thing for ever.
pub fn calls(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    let what: String = parse(argument)?;
    loop {
        match what.as_str() {
            "now" => drop(black_box(context::now())),
            "env" => drop(black_box(context::env(&"x".repeat(1 << 20)))),
            "random" => drop(black_box(crate::outside::random_bytes(1 << 20))),
            "list" => drop(black_box(state::list("", None, u32::MAX))),
            "wait" => drop(black_box(effects::wait(&[]))),
            "sleep" => drop(black_box(effects::sleep(0))),
            "call" => drop(black_box(effects::call("hydra", "other", "read", NULL))),
            _ => return Err(failure("bad-argument", &what)),
        }
    }
}
