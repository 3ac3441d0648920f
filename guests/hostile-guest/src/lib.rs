//! A guest that attacks its node: each function and method is one attack, and tells what came of it.
//! The description and the dispatch live here. How it is described, and when its allocator turns on the
//! node, is chosen by `mode.rs`.

mod endless;
mod floods;
mod hydra;
mod mode;
mod outside;
mod support;
mod values;

use bindings::exports::eddy::platform::guest::{
    AgentType, Definition, Failure, Guest, Json, Method, Target,
};
use support::failure;

/// What the WIT world generates.
mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which documents it")]
    wit_bindgen::generate!({ world: "app", path: "../../wit" });
    use super::Hostile;
    export!(Hostile);
}

struct Hostile;

/// The functions; see `run`.
const FUNCTIONS: &[&str] = &[
    "reach",
    "look",
    "env",
    "grow",
    "hog",
    "recurse",
    "frames",
    "handles",
    "wait",
    "spin",
    "calls",
    "log",
    "returns",
    "fails",
    "address",
    "fork",
    "realloc",
    "post_return",
    "hold_fetches",
];

fn run(name: &str, argument: &[u8]) -> Result<Vec<u8>, Failure> {
    match name {
        "reach" => outside::reach(argument),
        "look" => outside::look(argument),
        "env" => outside::env(argument),
        "hold_fetches" => outside::hold_fetches(argument),
        "grow" => endless::grow(),
        "hog" => endless::hog(),
        "recurse" => endless::recurse(),
        "frames" => endless::frames(),
        "handles" => endless::handles(argument),
        "wait" => endless::wait(),
        "spin" => endless::spin(),
        "calls" => endless::calls(argument),
        "log" => floods::log(argument),
        "fork" => floods::fork(argument),
        "returns" => values::returns(argument),
        "fails" => values::fails(argument),
        "address" => values::address(argument),
        "realloc" => mode::spin_in_realloc(),
        "post_return" => mode::spin_in_post_return(),
        _ => Err(failure("unknown-function", name)),
    }
}

impl Guest for Hostile {
    fn describe() -> Result<Definition, Failure> {
        mode::describe(|| Definition {
            functions: FUNCTIONS.iter().map(|&name| name.to_owned()).collect(),
            agents: vec![AgentType {
                name: "hydra".to_owned(),
                methods: hydra::METHODS
                    .iter()
                    .map(|&(name, read_only)| Method {
                        name: name.to_owned(),
                        read_only,
                    })
                    .collect(),
            }],
        })
    }

    fn handle(target: Target, argument: Json) -> Result<Json, Failure> {
        match target {
            Target::Function(name) => run(&name, &argument),
            Target::Method((agent, method)) => hydra::run(&agent.key, &method, &argument),
        }
    }
}
