//! The allocator, and how soon it gives memory back.

/// A node makes and frees some hundred small things for each message, often on different threads.
/// What this allocator gains is in docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Milliseconds until free pages go back to the system. The second that is mimalloc's default lets a
/// node whose agents went keep up to 50 MB: its free pages go only when memory is asked for, and
/// who sleeps asks for none.
const GIVE_BACK_MS: std::ffi::c_long = 10;
/// `mi_option_purge_delay` in mimalloc's header, which the bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Sets the allocator up, unless `MIMALLOC_PURGE_DELAY` says otherwise. Call it first: the setting is
/// not safe to change when there are other threads.
#[allow(unsafe_code)]
pub(crate) fn give_back_soon() {
    // SAFETY: the option exists, takes a number, and no other thread runs yet.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, GIVE_BACK_MS) }
}
