//! A guest for Eddy's tests and benchmarks: functions that behave and functions that misbehave,
//! and the agent type `counter`. The description and the dispatch live here.

mod counter;
mod functions;
mod support;

use bindings::exports::eddy::platform::guest::{
    AgentType, Definition, Failure, Guest, Json, Method, Target,
};
use support::failure;

/// What the WIT world generates.
mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which documents it")]
    wit_bindgen::generate!({ world: "app", path: "../../wit" });
    use super::Bench;
    export!(Bench);
}

struct Bench;

impl Guest for Bench {
    fn describe() -> Result<Definition, Failure> {
        let methods = counter::METHODS.iter().map(|&(name, read_only)| Method {
            name: name.to_owned(),
            read_only,
        });
        Ok(Definition {
            functions: functions::NAMES
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            agents: vec![AgentType {
                name: "counter".to_owned(),
                methods: methods.collect(),
            }],
        })
    }

    fn handle(target: Target, argument: Json) -> Result<Json, Failure> {
        match target {
            Target::Function(name) => functions::run(&name, argument),
            Target::Method((agent, method)) if agent.agent_type == "counter" => {
                counter::run(&agent.key, &method, argument)
            }
            Target::Method((agent, _)) => Err(failure(
                "unknown-agent-type",
                &format!("no agent type {}", agent.agent_type),
            )),
        }
    }
}
