//! The QuickJS runtime and context of this instance, made once at build time and kept in the
//! snapshot. What programs define is not here (`program`).

use crate::{effects, platform, program, turn, web};
use rquickjs::{
    CatchResultExt, Context, Ctx, Function, Module, Object, Persistent, Result, Runtime,
};
use std::alloc::Layout;
use std::cell::OnceCell;

/// Heap growth, in bytes, before the first collection of cycles. A collection touches every object,
/// which makes the pages of the snapshot private to the instance: short lives should never see one.
const GC_HEADROOM: usize = 512 << 10;
/// Deepest JavaScript stack, in bytes of the shadow stack, before a `RangeError`. The engine's own
/// native stack grows along with it and must not run out first.
const MAX_STACK: usize = 384 << 10;
/// Room at the end of the heap that the snapshot leaves for programs, in bytes: growing the memory of
/// each instance costs calls of the kernel.
const ROOM: usize = 256 << 10;
/// Frames that an error's stack keeps: the runtime's own are dropped afterwards.
const STACK_FRAMES: u32 = 32;

const SOURCES: [(&str, &str); 5] = [
    ("eddy:core", include_str!("js/core.js")),
    ("eddy:web", include_str!("js/web.js")),
    ("eddy:url", include_str!("js/url.js")),
    ("eddy:fetch", include_str!("js/fetch.js")),
    (
        "eddy",
        "export { agent, fn, query, EddyError } from 'eddy:core';",
    ),
];

/// A JavaScript function that outlives a borrow of the context.
pub type Held = Persistent<Function<'static>>;

/// The functions of core.js that the runtime calls.
pub struct Hooks {
    /// `(code, message, status, details) -> EddyError`
    pub fail: Held,
    /// `(thrown) -> [code, message, stack, status, details]`
    pub describe: Held,
    /// `(namespace) -> definitions`
    pub definitions: Held,
    /// `(type, key) -> self`
    pub own: Held,
    /// `(handler, argument) -> result`
    pub run_function: Held,
    /// `(handler, definition, self, argument) -> result`
    pub run_method: Held,
    /// Closes the contexts of the turn.
    pub end: Held,
    /// `(reason) -> line`
    pub unhandled: Held,
}

struct Engine {
    context: Context,
    hooks: Hooks,
}

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// Runs `work` with the context, making the engine first when no snapshot holds it.
pub fn with<R>(work: impl FnOnce(&Ctx<'_>, &Hooks) -> R) -> R {
    ENGINE.with(|cell| {
        let engine = cell.get_or_init(|| start().expect("the runtime's own JavaScript runs"));
        engine.context.with(|ctx| work(&ctx, &engine.hooks))
    })
}

/// The hooks, from inside a call that JavaScript made.
pub fn hooks<R>(work: impl FnOnce(&Hooks) -> R) -> R {
    ENGINE.with(|cell| {
        work(
            &cell
                .get()
                .expect("JavaScript runs only once the engine is there")
                .hooks,
        )
    })
}

/// A held function, for calling now.
pub fn function<'js>(ctx: &Ctx<'js>, held: &Held) -> Result<Function<'js>> {
    held.clone().restore(ctx)
}

/// Makes the engine for the snapshot and wipes what only its making needed.
pub fn prepare() {
    with(|_, _| ());
    fill_holes();
    wipe_stack();
}

/// Takes every free hole in the heap for good, so that instances allocate at its end, in few pages.
/// Holes lie all over the snapshot, and each page of it that is written becomes the instance's own.
#[allow(unsafe_code, reason = "memory that is never given back")]
fn fill_holes() {
    const STEP: usize = 8;
    let allocate = |size: usize| {
        let layout = Layout::from_size_align(size, STEP).expect("small sizes make a layout");
        // SAFETY: no size here is zero.
        let place = unsafe { std::alloc::alloc(layout) };
        // Nobody uses it: the compiler must not leave it out.
        (std::hint::black_box(place), layout)
    };
    // What is as large as this fits into no hole.
    let (end, layout) = allocate(ROOM);
    // SAFETY: it was allocated with this layout just now.
    unsafe { std::alloc::dealloc(end, layout) };
    for size in (STEP..=ROOM).rev().step_by(STEP) {
        loop {
            let (hole, layout) = allocate(size);
            if hole >= end {
                // SAFETY: as above.
                unsafe { std::alloc::dealloc(hole, layout) };
                break;
            }
        }
    }
    // What the attempts left there is not the snapshot's to carry.
    let (room, layout) = allocate(ROOM);
    // SAFETY: it is ours, that long, and given back as it was taken.
    unsafe {
        room.write_bytes(0, ROOM);
        std::alloc::dealloc(std::hint::black_box(room), layout);
    }
}

fn start() -> Result<Engine> {
    let runtime = Runtime::new()?;
    runtime.set_max_stack_size(MAX_STACK);
    runtime.set_loader(program::Names, program::Sources);
    runtime.set_host_promise_rejection_tracker(Some(Box::new(turn::track_rejection)));
    let context = Context::full(&runtime)?;
    let hooks = context.with(|ctx| prelude(&ctx))?;
    runtime.run_gc();
    let heap = usize::try_from(runtime.memory_usage().malloc_size).unwrap_or(0);
    runtime.set_gc_threshold(heap + GC_HEADROOM);
    Ok(Engine { context, hooks })
}

fn prelude(ctx: &Ctx<'_>) -> Result<Hooks> {
    let host = Object::new(ctx.clone())?;
    platform::install(&host)?;
    effects::install(&host)?;
    web::install(&host)?;
    ctx.globals().set("__host", host)?;
    let mut core = None;
    for (name, source) in SOURCES {
        let declared = Module::declare(ctx.clone(), name, source);
        let module = declared
            .catch(ctx)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (module, done) = module.eval()?;
        done.finish::<()>()
            .catch(ctx)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "eddy:core" {
            core = Some(module);
        }
    }
    ctx.globals().remove("__host")?;
    ctx.eval::<(), _>(format!("Error.stackTraceLimit = {STACK_FRAMES};"))?;
    let hooks: Object<'_> = core.expect("SOURCES holds eddy:core").get("hooks")?;
    Ok(Hooks {
        fail: hooks.get("fail")?,
        describe: hooks.get("describe")?,
        definitions: hooks.get("definitions")?,
        own: hooks.get("self")?,
        run_function: hooks.get("runFunction")?,
        run_method: hooks.get("runMethod")?,
        end: hooks.get("end")?,
        unhandled: hooks.get("unhandled")?,
    })
}

/// Overwrites the unused part of the stack, so that the snapshot neither carries the leftovers of
/// its making nor differs from build to build.
#[allow(
    unsafe_code,
    reason = "the stack is memory like any other in WebAssembly"
)]
#[inline(never)]
fn wipe_stack() {
    /// Below this address lies nothing of the stack; above the current frame all of it is in use.
    const FLOOR: usize = 1024;
    const FRAME: usize = 4096;
    let here = 0u8;
    let top = std::hint::black_box(&raw const here)
        .addr()
        .saturating_sub(FRAME);
    // SAFETY: the linker puts the stack first, so [FLOOR, top) is unused stack: nothing lives there.
    unsafe {
        for address in FLOOR..top {
            std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(0);
        }
    }
}
