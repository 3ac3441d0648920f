//! The shared JavaScript runtime: QuickJS as one WebAssembly component that runs the programs of
//! every app. It compiles modules to bytecode, loads bytecode, and serves `describe` and `handle`.
//! Here: the component's exports. The engine and its snapshot are in `engine`, programs in
//! `program`, turns in `turn`, what JavaScript may call in `platform`, `effects` and `web`.

mod convert;
mod effects;
mod engine;
mod platform;
mod program;
mod turn;
mod web;

#[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package eddy:js-build;
            world build {
                include eddy:platform/js-runtime@0.1.0;
                export wizer-initialize: func();
            }
        ",
        world: "eddy:js-build/build",
        generate_all,
    });
}

use bindings::eddy::platform::types::Failure;
use bindings::exports::eddy::platform::{guest, javascript};

struct Component;

impl bindings::Guest for Component {
    /// Runs once, at build: what memory holds afterwards is what every instance starts with.
    fn wizer_initialize() {
        engine::prepare();
    }
}

impl javascript::Guest for Component {
    fn compile(modules: Vec<javascript::Module>) -> Result<Vec<u8>, Failure> {
        program::compile(modules)
    }

    fn load(program: Vec<u8>) -> Result<(), Failure> {
        program::load(program)
    }
}

impl guest::Guest for Component {
    fn describe() -> Result<guest::Definition, Failure> {
        turn::describe()
    }

    fn handle(target: guest::Target, argument: Vec<u8>) -> Result<Vec<u8>, Failure> {
        turn::handle(&target, argument)
    }
}

bindings::export!(Component with_types_in bindings);
