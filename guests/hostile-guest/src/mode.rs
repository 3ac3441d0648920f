//! What only shows at a deploy, or in code that no handler calls: a test patches [`MODE`] in the built
//! file, so that one file is many components.

use crate::bindings::exports::eddy::platform::guest::{AgentType, Definition, Failure};
use crate::support::failure;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The last byte is the mode: `0` is an ordinary description.
static MODE: [u8; 14] = *b"hostile-mode:0";

fn mode() -> u8 {
    // SAFETY: a plain read; volatile, because the file is patched after it was compiled.
    unsafe { std::ptr::read_volatile(&raw const MODE[13]) }
}

/// The ordinary description, or what the mode says.
pub fn describe(ordinary: impl Fn() -> Definition) -> Result<Definition, Failure> {
    let functions = |functions: Vec<String>| {
        Ok(Definition {
            functions,
            ..ordinary()
        })
    };
    match mode() {
        b'S' => crate::endless::spin(),
        b'H' => crate::endless::hog(),
        b'R' => crate::endless::recurse().map(|_| ordinary()),
        b'T' => core::arch::wasm32::unreachable(),
        b'F' => Err(failure("unauthenticated", &"x".repeat(4 << 20))),
        // A million functions, and more than fit.
        b'M' => functions((0..1_000_000).map(|n| format!("f{n}")).collect()),
        b'm' => functions((0..100_000).map(|n| format!("f{n}")).collect()),
        b'N' => functions(vec!["a\0b".to_owned()]),
        b'P' => functions(vec!["../../etc/passwd".to_owned()]),
        b'D' => functions(vec!["twice".to_owned(), "twice".to_owned()]),
        b'L' => functions(vec!["x".repeat(10 << 20)]),
        b'A' => Ok(Definition {
            functions: Vec::new(),
            agents: (0..100_000)
                .map(|n| AgentType {
                    name: format!("a{n}"),
                    methods: Vec::new(),
                })
                .collect(),
        }),
        _ => Ok(ordinary()),
    }
}

static ALLOC_SPINS: AtomicBool = AtomicBool::new(false);
static FREE_SPINS: AtomicBool = AtomicBool::new(false);

/// From now on the node cannot hand anything to the guest: its allocator never returns.
pub fn spin_in_realloc() -> Result<Vec<u8>, Failure> {
    ALLOC_SPINS.store(true, Relaxed);
    Ok(crate::outside::random_bytes(8))
}

/// The result is there, and giving it back never ends.
pub fn spin_in_post_return() -> Result<Vec<u8>, Failure> {
    let result = b"null".to_vec();
    FREE_SPINS.store(true, Relaxed);
    Ok(result)
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: everything is the system's allocator, or never returns.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ALLOC_SPINS.load(Relaxed) {
            crate::endless::turn();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if FREE_SPINS.load(Relaxed) {
            crate::endless::turn();
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}
