//! What `bindgen!` makes of wit/ and of the Python runtime's own interface. Only `wait` may suspend the guest; every other import is a plain
//! call, because that is cheaper.
#![allow(missing_docs, reason = "generated from wit/, which documents it")]

wasmtime::component::bindgen!({
    inline: "package eddy:host; world host { include eddy:platform/js-runtime@0.1.0; export eddy:python/programs@0.1.0; }",
    world: "eddy:host/host",
    path: ["../../wit", "../../guests/python-runtime/wit"],
    imports: { "eddy:platform/effects.wait": async },
    exports: { default: async },
    with: { "eddy:platform/effects.pending": crate::pending::PendingHandle },
});
