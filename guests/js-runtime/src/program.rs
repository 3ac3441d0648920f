//! Programs: compiling modules to bytecode, loading bytecode, and what the entry module defines.
//!
//! The form of a program: the magic `EDJS1`, then per module its name and its bytecode, each after
//! its length as four bytes, little end first. The entry comes first. Only the build of the runtime
//! that wrote a program can read it.

use crate::bindings::eddy::platform::types::Failure;
use crate::bindings::exports::eddy::platform::javascript;
use crate::convert::{failure, from_caught};
use crate::engine::{self, Held, Hooks};
use crate::{turn, web};
use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::{Declared, WriteOptions};
use rquickjs::{Array, Ctx, Error, Exception, Function, Module, Object, Persistent, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

const MAGIC: &[u8] = b"EDJS1";
const CODE: &str = "invalid-source";

/// An agent type that the program defines.
pub struct Agent {
    /// What `agent()` returned: `this` of its methods.
    pub definition: Persistent<Object<'static>>,
    /// By name.
    pub methods: BTreeMap<String, Method>,
}

/// A method of an agent type.
pub struct Method {
    /// What to call.
    pub handler: Held,
    /// Whether it is a query.
    pub read_only: bool,
}

/// A module before QuickJS has it.
enum Code {
    Source(String),
    /// Where it lies in the program's bytes.
    Bytecode(Range<usize>),
}

/// The program of this instance.
#[derive(Default)]
pub struct Program {
    /// Its modules by name.
    modules: BTreeMap<String, Code>,
    /// The bytecode, while it is read. QuickJS makes its own of it.
    bytes: Rc<Vec<u8>>,
    /// Whether `load` succeeded.
    pub loaded: bool,
    /// By name.
    pub functions: BTreeMap<String, Held>,
    /// By type.
    pub agents: BTreeMap<String, Agent>,
}

thread_local! {
    static PROGRAM: RefCell<Program> = RefCell::default();
}

/// Reads the program of this instance. JavaScript must not run meanwhile.
pub fn with<R>(work: impl FnOnce(&Program) -> R) -> R {
    PROGRAM.with_borrow(work)
}

/// Compiles modules, the entry first, to a program.
pub fn compile(modules: Vec<javascript::Module>) -> std::result::Result<Vec<u8>, Failure> {
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    PROGRAM.with_borrow_mut(|program| {
        let coded = modules
            .into_iter()
            .map(|module| (module.name, Code::Source(module.source)));
        program.modules = coded.collect();
    });
    engine::with(|ctx, hooks| {
        let mut bytes = MAGIC.to_vec();
        for name in &names {
            let module = declare(ctx, name);
            let bytecode = module.and_then(|module| {
                module.write(WriteOptions {
                    strip_source: true,
                    ..WriteOptions::default()
                })
            });
            let bytecode = bytecode.map_err(|error| invalid(ctx, hooks, &error))?;
            put(&mut bytes, name.as_bytes());
            put(&mut bytes, &bytecode);
        }
        Ok(bytes)
    })
}

/// Loads and evaluates a program.
pub fn load(bytes: Vec<u8>) -> std::result::Result<(), Failure> {
    web::forget_seed();
    let modules = parse(&bytes).ok_or_else(|| {
        failure(
            CODE,
            "the program is not bytecode of this version of the runtime: compile it again",
        )
    })?;
    let Some(entry) = modules.first().map(|(name, _)| name.clone()) else {
        return Err(failure(CODE, "the program has no modules"));
    };
    PROGRAM.with_borrow_mut(|program| {
        let coded = modules.into_iter();
        program.modules = coded
            .map(|(name, code)| (name, Code::Bytecode(code)))
            .collect();
        program.bytes = Rc::new(bytes);
    });
    engine::with(|ctx, hooks| {
        evaluate(ctx, hooks, &entry)?;
        PROGRAM.with_borrow_mut(|program| program.loaded = true);
        Ok(())
    })
}

fn evaluate(ctx: &Ctx<'_>, hooks: &Hooks, entry: &str) -> std::result::Result<(), Failure> {
    let entry = declare(ctx, entry).map_err(|error| invalid(ctx, hooks, &error))?;
    let (module, done) = entry.eval().map_err(|error| invalid(ctx, hooks, &error))?;
    while ctx.execute_pending_job() {}
    match done.result::<()>() {
        Some(Ok(())) => {}
        Some(Err(error)) => return Err(invalid(ctx, hooks, &error)),
        None => {
            let why = "the entry module never finishes: its top-level await waits for nothing";
            return Err(failure(CODE, why));
        }
    }
    turn::report_rejections(ctx, hooks, None);
    let namespace = module
        .namespace()
        .map_err(|error| invalid(ctx, hooks, &error))?;
    define(ctx, hooks, namespace).map_err(|error| invalid(ctx, hooks, &error))
}

#[allow(
    unsafe_code,
    reason = "bytecode comes from `compile` only; the node vouches for it"
)]
fn read<'js>(ctx: &Ctx<'js>, bytecode: &[u8]) -> Result<Module<'js, Declared>> {
    // SAFETY: the node loads only what this runtime's `compile` made, and within the sandbox a
    // forged program could harm nobody but itself.
    unsafe { Module::load(ctx.clone(), bytecode) }
}

/// Notes what the entry module's exports define.
fn define<'js>(ctx: &Ctx<'js>, hooks: &Hooks, exports: Object<'js>) -> Result<()> {
    let found: Vec<Array<'js>> = engine::function(ctx, &hooks.definitions)?.call((exports,))?;
    let mut functions = BTreeMap::new();
    let mut agents: BTreeMap<String, Agent> = BTreeMap::new();
    for entry in found {
        let kind: String = entry.get(0)?;
        let name: String = entry.get(1)?;
        match kind.as_str() {
            "fn" => {
                let handler: Function<'js> = entry.get(2)?;
                functions.insert(name, Persistent::save(ctx, handler));
            }
            "agent" => {
                let definition = Persistent::save(ctx, entry.get::<Object<'js>>(2)?);
                agents.insert(
                    name,
                    Agent {
                        definition,
                        methods: BTreeMap::new(),
                    },
                );
            }
            _ => {
                let handler = Persistent::save(ctx, entry.get::<Function<'js>>(3)?);
                let method = Method {
                    handler,
                    read_only: entry.get(4)?,
                };
                if let Some(agent) = agents.get_mut(&name) {
                    agent.methods.insert(entry.get(2)?, method);
                }
            }
        }
    }
    PROGRAM.with_borrow_mut(|program| {
        program.functions = functions;
        program.agents = agents;
    });
    Ok(())
}

/// The pending exception as `invalid-source`, saying where.
fn invalid(ctx: &Ctx<'_>, hooks: &Hooks, error: &Error) -> Failure {
    let mut thrown = from_caught(ctx, hooks, error);
    // QuickJS gives a syntax error a stack of one frame: the place itself.
    let place = thrown
        .stack
        .as_deref()
        .and_then(|stack| stack.lines().next());
    let place = place.map(|frame| {
        let frame = frame.trim_start_matches("at ");
        frame
            .rsplit_once('(')
            .map_or(frame, |(_, inner)| inner.trim_end_matches(')'))
            .to_owned()
    });
    let name = std::mem::replace(&mut thrown.code, CODE.to_owned());
    thrown.message = match place {
        Some(place) => format!("{name}: {} at {place}", thrown.message),
        None => format!("{name}: {}", thrown.message),
    };
    thrown
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("memory of a 32-bit guest holds less than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(part);
}

/// The modules: names, and where their bytecode lies.
fn parse(bytes: &[u8]) -> Option<Vec<(String, Range<usize>)>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let name = std::str::from_utf8(take(&mut rest)?).ok()?.to_owned();
        let code = take(&mut rest)?;
        let end = bytes.len() - rest.len();
        parts.push((name, end - code.len()..end));
    }
    Some(parts)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(part)
}

/// Resolves imports: "eddy", a module's exact name, or a path relative to the importing module.
pub struct Names;

impl Resolver for Names {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        if name == "eddy" || is_builtin(base) && name.starts_with("eddy:") {
            return Ok(name.to_owned());
        }
        let found = PROGRAM.with_borrow(|program| {
            let joined = join(base, name);
            let mut candidates = vec![name.to_owned(), joined.clone()];
            for extension in ["ts", "js", "mjs"] {
                candidates.push(format!("{joined}.{extension}"));
                candidates.push(format!("{joined}/index.{extension}"));
            }
            candidates
                .into_iter()
                .find(|candidate| program.modules.contains_key(candidate))
        });
        found.ok_or_else(|| {
            let message = format!("cannot find {name:?}, which {base} imports");
            Exception::throw_reference(ctx, &message)
        })
    }
}

/// `name` seen from the folder of `base`, without `.` and `..`.
fn join(base: &str, name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    if name.starts_with('.') {
        parts.extend(base.split('/'));
        parts.pop();
    }
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Gives the source of an imported module while compiling.
pub struct Sources;

impl Loader for Sources {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        declare(ctx, name)
    }
}

fn declare<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Declared>> {
    let found = PROGRAM.with_borrow(|program| {
        let code = program.modules.get(name)?;
        Some(match code {
            Code::Source(source) => (Some(source.clone()), Rc::default(), 0..0),
            Code::Bytecode(place) => (None, program.bytes.clone(), place.clone()),
        })
    });
    match found {
        Some((Some(source), ..)) => Module::declare(ctx.clone(), name, source),
        Some((None, bytes, place)) => read(ctx, &bytes[place]),
        None => Err(Exception::throw_reference(
            ctx,
            &format!("there is no module {name:?}"),
        )),
    }
}

/// The module `eddy` and its parts; a user's `eddy-shop/main.ts` is none.
fn is_builtin(module: &str) -> bool {
    module == "eddy" || module.starts_with("eddy:")
}
