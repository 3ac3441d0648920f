//! What `bindgen!` makes of wit/. Only `wait` may suspend the guest; every other import is a plain
//! call, because that is cheaper.
#![allow(missing_docs, reason = "generated from wit/, which documents it")]

wasmtime::component::bindgen!({
    world: "js-runtime",
    path: "../../wit",
    imports: { "eddy:platform/effects.wait": async },
    exports: { default: async },
    with: { "eddy:platform/effects.pending": crate::pending::PendingHandle },
});
