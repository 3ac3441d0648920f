//! Turns: finding the handler, running it, waiting with it, and giving its result or failure back.

use crate::bindings::eddy::platform::context;
use crate::bindings::eddy::platform::types::{AgentRef, Failure};
use crate::bindings::exports::eddy::platform::guest;
use crate::convert::{self, failure, from_caught};
use crate::engine::{self, Held, Hooks};
use crate::program::{self, Program};
use crate::{effects, web};
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Error, Object, Persistent, Promise, Value};
use std::cell::RefCell;

/// Jobs that may still run after the handler has returned: enough for what was under way to notice
/// that its context is closed, too few for an endless chain to hold the reply.
const JOBS_AFTER_END: usize = 10_000;

type Outcome<T> = std::result::Result<T, Failure>;

struct Rejection {
    promise: Persistent<Value<'static>>,
    reason: Persistent<Value<'static>>,
}

/// The `ctx.self` of the last turn: an instance serves one agent for long.
struct Own {
    agent: AgentRef,
    object: Persistent<Object<'static>>,
}

thread_local! {
    static REJECTIONS: RefCell<Vec<Rejection>> = const { RefCell::new(Vec::new()) };
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// What the program defines.
pub fn describe() -> Outcome<guest::Definition> {
    program::with(|program| {
        check_loaded(program)?;
        let agents = program.agents.iter().map(|(name, agent)| {
            let methods = agent.methods.iter().map(|(name, method)| guest::Method {
                name: name.clone(),
                read_only: method.read_only,
            });
            guest::AgentType {
                name: name.clone(),
                methods: methods.collect(),
            }
        });
        let functions = program.functions.keys().cloned().collect();
        Ok(guest::Definition {
            functions,
            agents: agents.collect(),
        })
    })
}

/// Runs a function or one turn of an agent.
pub fn handle(target: &guest::Target, argument: Vec<u8>) -> Outcome<Vec<u8>> {
    web::forget_seed();
    engine::with(|ctx, hooks| {
        let argument = convert::argument(ctx, argument).map_err(|error| {
            let thrown = from_caught(ctx, hooks, &error);
            failure(
                "invalid-json",
                format!("the argument is not JSON: {}", thrown.message),
            )
        })?;
        let call = find(ctx, hooks, target)?;
        let result = call
            .run(ctx, hooks, argument)
            .map_err(|error| Ended::Thrown(error, None))
            .and_then(|value| settle(ctx, hooks, value));
        finish(ctx, hooks, result)
    })
}

fn check_loaded(program: &Program) -> Outcome<()> {
    if program.loaded {
        return Ok(());
    }
    Err(failure("internal", "no program is loaded in this instance"))
}

/// A handler with what it is called with.
enum Call<'js> {
    Function(Held),
    Method {
        handler: Held,
        definition: Persistent<Object<'static>>,
        own: Object<'js>,
    },
}

fn find<'js>(ctx: &Ctx<'js>, hooks: &Hooks, target: &guest::Target) -> Outcome<Call<'js>> {
    program::with(|program| {
        check_loaded(program)?;
        match target {
            guest::Target::Function(name) => match program.functions.get(name) {
                Some(handler) => Ok(Call::Function(handler.clone())),
                None => Err(failure(
                    "unknown-function",
                    format!("no function {name:?} is exported"),
                )),
            },
            guest::Target::Method((agent, name)) => {
                let kind = &agent.agent_type;
                let known = program.agents.get(kind).ok_or_else(|| {
                    failure(
                        "unknown-agent-type",
                        format!("no agent type {kind:?} is exported"),
                    )
                })?;
                let method = known.methods.get(name).ok_or_else(|| {
                    failure("unknown-method", format!("{kind} has no method {name:?}"))
                })?;
                let own =
                    own(ctx, hooks, agent).map_err(|error| from_caught(ctx, hooks, &error))?;
                let (handler, definition) = (method.handler.clone(), known.definition.clone());
                Ok(Call::Method {
                    handler,
                    definition,
                    own,
                })
            }
        }
    })
}

fn own<'js>(ctx: &Ctx<'js>, hooks: &Hooks, agent: &AgentRef) -> rquickjs::Result<Object<'js>> {
    OWN.with_borrow_mut(|slot| {
        let same =
            |own: &&Own| own.agent.key == agent.key && own.agent.agent_type == agent.agent_type;
        if let Some(own) = slot.as_ref().filter(same) {
            return own.object.clone().restore(ctx);
        }
        let make = engine::function(ctx, &hooks.own)?;
        let object: Object<'js> = make.call((&*agent.agent_type, &*agent.key))?;
        let kept = Persistent::save(ctx, object.clone());
        *slot = Some(Own {
            agent: agent.clone(),
            object: kept,
        });
        Ok(object)
    })
}

impl<'js> Call<'js> {
    fn run(
        self,
        ctx: &Ctx<'js>,
        hooks: &Hooks,
        argument: Value<'js>,
    ) -> rquickjs::Result<Value<'js>> {
        match self {
            Self::Function(handler) => {
                let handler = handler.restore(ctx)?;
                engine::function(ctx, &hooks.run_function)?.call((handler, argument))
            }
            Self::Method {
                handler,
                definition,
                own,
            } => {
                let (handler, definition) = (handler.restore(ctx)?, definition.restore(ctx)?);
                let run = engine::function(ctx, &hooks.run_method)?;
                run.call((handler, definition, own, argument))
            }
        }
    }
}

/// How a handler ended other than by returning.
enum Ended<'js> {
    /// It threw: the exception is pending. The promise is its own, if it returned one.
    Thrown(Error, Option<Promise<'js>>),
    /// The runtime or the node gave up on it.
    Failed(Failure),
}

/// Runs microtasks and waits on the node until the handler's promise is settled.
fn settle<'js>(
    ctx: &Ctx<'js>,
    hooks: &Hooks,
    value: Value<'js>,
) -> std::result::Result<Value<'js>, Ended<'js>> {
    let Some(promise) = value.as_promise().cloned() else {
        return Ok(value);
    };
    loop {
        if promise.state() != PromiseState::Pending {
            let result = promise.result::<Value<'js>>();
            let result = result.expect("a promise that is not pending has a result");
            return result.map_err(|error| Ended::Thrown(error, Some(promise)));
        }
        if ctx.execute_pending_job() {
            continue;
        }
        if effects::is_empty() {
            let why = "the handler waits for a promise that nothing can settle";
            return Err(Ended::Failed(failure("handler-stalled", why)));
        }
        let ready = effects::next().map_err(Ended::Failed)?;
        if let Some(Err(error)) = ready.map(|ready| ready.settle(ctx)) {
            let thrown = from_caught(ctx, hooks, &error);
            let place = thrown
                .stack
                .map(|stack| format!(" {stack}"))
                .unwrap_or_default();
            let line = format!(
                "Uncaught in a timer: {}: {}{place}",
                thrown.code, thrown.message
            );
            context::log(context::LogLevel::Error, &line);
        }
    }
}

/// Ends the turn: closes its contexts, cancels what is under way, then gives the result.
fn finish<'js>(
    ctx: &Ctx<'js>,
    hooks: &Hooks,
    result: std::result::Result<Value<'js>, Ended<'js>>,
) -> Outcome<Vec<u8>> {
    let mut own = None;
    let thrown = match result {
        Ok(value) => Ok(value),
        Err(Ended::Failed(failure)) => Err(Err(failure)),
        Err(Ended::Thrown(error, promise)) => {
            own = promise.map(Promise::into_value);
            if error.is_exception() {
                Err(Ok(ctx.catch()))
            } else {
                Err(Err(failure("TypeError", error.to_string())))
            }
        }
    };
    if let Err(error) = engine::function(ctx, &hooks.end).and_then(|end| end.call::<_, ()>(())) {
        return Err(from_caught(ctx, hooks, &error));
    }
    effects::clear();
    for _ in 0..JOBS_AFTER_END {
        if !ctx.execute_pending_job() {
            break;
        }
    }
    effects::clear();
    report_rejections(ctx, hooks, own);
    match thrown {
        Ok(value) => encode(ctx, hooks, value),
        Err(Ok(thrown)) => Err(convert::from_thrown(ctx, hooks, thrown)),
        Err(Err(failure)) => Err(failure),
    }
}

fn encode<'js>(ctx: &Ctx<'js>, hooks: &Hooks, value: Value<'js>) -> Outcome<Vec<u8>> {
    if value.is_undefined() {
        return Ok(b"null".to_vec());
    }
    let kind = value.type_name();
    match convert::json(ctx, value) {
        Ok(Some(json)) => Ok(json),
        Ok(None) => Err(failure(
            "invalid-result",
            format!("the handler returned a {kind}, which JSON cannot hold"),
        )),
        Err(error) => {
            let thrown = from_caught(ctx, hooks, &error);
            let message = format!("the handler's result is not JSON: {}", thrown.message);
            Err(Failure {
                code: "invalid-result".to_owned(),
                message,
                ..thrown
            })
        }
    }
}

/// Called by the engine when a promise is rejected with nobody listening, and when one listens later.
pub fn track_rejection<'js>(ctx: Ctx<'js>, promise: Value<'js>, reason: Value<'js>, handled: bool) {
    REJECTIONS.with_borrow_mut(|rejections| {
        let promise = Persistent::save(&ctx, promise);
        if handled {
            rejections.retain(|one| one.promise != promise);
        } else {
            rejections.push(Rejection {
                promise,
                reason: Persistent::save(&ctx, reason),
            });
        }
    });
}

/// Logs the rejections that nobody handled, except of the handler's own promise.
pub fn report_rejections<'js>(ctx: &Ctx<'js>, hooks: &Hooks, own: Option<Value<'js>>) {
    let rejections = REJECTIONS.take();
    if rejections.is_empty() {
        return;
    }
    let own = own.map(|promise| Persistent::save(ctx, promise));
    for rejection in rejections {
        if Some(&rejection.promise) == own.as_ref() {
            continue;
        }
        let line = rejection.reason.restore(ctx).and_then(|reason| {
            engine::function(ctx, &hooks.unhandled)?.call::<_, String>((reason,))
        });
        match line {
            Ok(line) => context::log(context::LogLevel::Warn, &line),
            Err(_) => drop(ctx.catch()),
        }
    }
}
