//! Tries the runtime: `probe COMPONENT` runs every case of cases.js and prints what differs, then
//! measures.

use eddy_js_runtime_tools::eddy::platform::types::{AgentRef, Failure};
use eddy_js_runtime_tools::exports::eddy::platform::guest::Target;
use eddy_js_runtime_tools::exports::eddy::platform::javascript::Module;
use eddy_js_runtime_tools::{Host, JsRuntime, Runtime};
use std::time::{Duration, Instant};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Store, bail,
    ensure, format_err,
};

const COUNTER: &str = r#"import { agent, fn, query } from "eddy";
export const counter = agent({
  increment(ctx, { by = 1 } = {}) { const n = (ctx.state.get("n") ?? 0) + by; ctx.state.set("n", n); return { n }; },
  async slow(ctx, { by = 1 } = {}) { await null; const n = (ctx.state.get("n") ?? 0) + by; ctx.state.set("n", n); return { n }; },
  value: query((ctx) => ({ n: ctx.state.get("n") ?? 0 })),
});
export const greet = fn((ctx, { name }) => `Hello, ${name}!`);
export const plain = 1;
"#;

fn module(name: &str, source: &str) -> Module {
    Module {
        name: name.into(),
        source: source.into(),
    }
}

fn show(result: &std::result::Result<Vec<u8>, Failure>) -> String {
    match result {
        Ok(json) => String::from_utf8_lossy(json).into_owned(),
        Err(f) => {
            let mut text = format!("! {}: {}", f.code, f.message);
            if let Some(status) = f.status {
                text += &format!(" [{status}]");
            }
            if let Some(details) = &f.details {
                text += &format!(" {}", String::from_utf8_lossy(details));
            }
            if let Some(stack) = &f.stack {
                text += &format!(" | {}", stack.replace('\n', " | "));
            }
            text
        }
    }
}

struct Instance {
    store: Store<Host>,
    js: JsRuntime,
}

impl Instance {
    async fn load(runtime: &Runtime, program: &[u8]) -> Result<std::result::Result<Self, Failure>> {
        let (mut store, js) = runtime.instance().await?;
        let loaded = js
            .eddy_platform_javascript()
            .call_load(&mut store, program)
            .await?;
        Ok(loaded.map(|()| Self { store, js }))
    }

    async fn handle(
        &mut self,
        target: &Target,
        argument: &str,
    ) -> Result<std::result::Result<Vec<u8>, Failure>> {
        let guest = self.js.eddy_platform_guest();
        Ok(guest
            .call_handle(&mut self.store, target, &argument.as_bytes().to_vec())
            .await?)
    }
}

async fn compile(
    runtime: &Runtime,
    modules: &[Module],
) -> Result<std::result::Result<Vec<u8>, Failure>> {
    let (mut store, js) = runtime.instance().await?;
    Ok(js
        .eddy_platform_javascript()
        .call_compile(&mut store, modules)
        .await?)
}

fn method(name: &str) -> Target {
    let agent = AgentRef {
        agent_type: "counter".into(),
        key: "alice".into(),
    };
    Target::Method((agent, name.into()))
}

/// Runs cases.js: each function's expected outcome stands in its `expect` comment.
async fn cases(runtime: &Runtime) -> Result<usize> {
    let source = include_str!("../../cases.js");
    let library = "export const twice = (x) => x * 2;\nexport function boom() {\n  throw new TypeError('from the library');\n}\n";
    let modules = [
        module("src/cases.ts", source),
        module("src/lib/math.ts", library),
    ];
    let program = compile(runtime, &modules).await?;
    let program = program.map_err(|f| format_err!("compile: {}", show(&Err(f))))?;
    let mut wrong = 0;
    let mut next: Option<(String, String)> = None;
    let mut instance = match Instance::load(runtime, &program).await? {
        Ok(instance) => instance,
        Err(f) => bail!("load: {}", show(&Err(f))),
    };
    instance.store.data_mut().seen.clear();
    for line in source.lines().map(str::trim) {
        let with = line.strip_prefix("// with ");
        if let Some((name, expected)) = next.take() {
            let argument = with.unwrap_or("null");
            wrong += usize::from(!check(&mut instance, &name, argument, &expected).await?);
        }
        if let Some(rest) = line.strip_prefix("// expect ") {
            let (name, expected) = rest.split_once(' ').unwrap_or((rest, ""));
            next = Some((name.to_owned(), expected.to_owned()));
        }
    }
    Ok(wrong)
}

async fn check(
    instance: &mut Instance,
    name: &str,
    argument: &str,
    expected: &str,
) -> Result<bool> {
    let target = if name.starts_with("q_") || name.starts_with("a_") {
        method(name)
    } else {
        Target::Function(name.into())
    };
    instance.store.data_mut().read_only = name.starts_with("q_");
    let result = match instance.handle(&target, argument).await {
        Ok(result) => show(&result),
        Err(error) => format!("TRAP {:#}", error),
    };
    let host = instance.store.data_mut();
    let mut got = result;
    for line in host.seen.drain(..) {
        got += &format!(" ~ {}", line.replace('\n', "\\n"));
    }
    let live = host.live();
    let ok = got == expected && live == 0;
    if !ok {
        println!(
            "WRONG {name}({argument})\n  expected {expected}\n  got      {got}\n  effects left: {live}"
        );
    }
    Ok(ok)
}

async fn bad_sources(runtime: &Runtime) -> Result<()> {
    let tries: [(&str, &[Module]); 5] = [
        (
            "syntax",
            &[module("src/bad.ts", "const a = 1;\nfunction f( {\n")],
        ),
        (
            "missing module",
            &[module("src/a.ts", "import x from './nowhere';\n")],
        ),
        (
            "missing export",
            &[
                module("src/a.ts", "import { x } from './b';\nx;"),
                module("src/b.ts", "export const y = 1;"),
            ],
        ),
        (
            "top-level throw",
            &[module("src/a.ts", "\n  throw new Error('no start');")],
        ),
        (
            "top-level wait",
            &[module("src/a.ts", "await new Promise(() => {});")],
        ),
    ];
    for (what, modules) in tries {
        let outcome = match compile(runtime, modules).await? {
            Err(f) => format!("compile {}", show(&Err(f))),
            Ok(program) => match Instance::load(runtime, &program).await? {
                Err(f) => format!("load {}", show(&Err(f))),
                Ok(_) => "loaded".to_owned(),
            },
        };
        println!("{what}: {outcome}");
    }
    let garbage = Instance::load(runtime, b"not a program").await?.err();
    println!(
        "garbage: {}",
        garbage.map_or("loaded".into(), |f| show(&Err(f)))
    );
    Ok(())
}

/// Processor time of this thread so far: the machine may be busy with other things.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(
        text.split(' ')
            .next()
            .and_then(|first| first.parse().ok())
            .unwrap_or(0),
    )
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("Private_Dirty"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

async fn measure(runtime: &Runtime) -> Result<()> {
    let started = cpu();
    let program = compile(runtime, &[module("counter.ts", COUNTER)]).await?;
    let program = program.map_err(|f| format_err!(show(&Err(f))))?;
    println!(
        "compile counter.ts     {:?} ({} bytes)",
        (cpu() - started),
        program.len()
    );
    const ROUNDS: u32 = 500;
    let mut parts = [Duration::ZERO; 4];
    for _ in 0..ROUNDS {
        let begun = cpu();
        let (mut store, js) = runtime.instance().await?;
        let made = cpu();
        let loaded = js
            .eddy_platform_javascript()
            .call_load(&mut store, &program)
            .await?;
        loaded.map_err(|f| format_err!(f.message))?;
        let ready = cpu();
        let mut instance = Instance { store, js };
        let result = instance
            .handle(&Target::Function("greet".into()), r#"{"name":"Ada"}"#)
            .await?;
        ensure!(show(&result) == r#""Hello, Ada!""#, "{}", show(&result));
        let handled = cpu();
        drop(instance);
        let steps = [made - begun, ready - made, handled - ready, cpu() - handled];
        parts
            .iter_mut()
            .zip(steps)
            .for_each(|(sum, step)| *sum += step);
    }
    for (what, sum) in ["instantiate", "load", "first handle", "drop"]
        .iter()
        .zip(parts)
    {
        println!("{what:<22} {:?}", sum / ROUNDS);
    }
    let before = memory_kib();
    let mut kept = Vec::new();
    for _ in 0..200 {
        let mut instance = Instance::load(runtime, &program)
            .await?
            .map_err(|f| format_err!(f.message))?;
        let _ = instance.handle(&method("increment"), "{}").await?;
        kept.push(instance);
    }
    println!("dirty KiB per instance {}", (memory_kib() - before) / 200);
    let mut instance = kept.pop().expect("200 were kept");
    drop(kept);
    for (name, argument) in [
        ("increment", r#"{"by":1}"#),
        ("slow", r#"{"by":1}"#),
        ("value", "null"),
    ] {
        let target = method(name);
        let started = cpu();
        for _ in 0..20_000 {
            let _ = instance.handle(&target, argument).await?;
        }
        println!("warm {name:<17} {:?}", (cpu() - started) / 20_000);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "../../../crates/eddy-wasm/assets/js-runtime.wasm".into());
    let mut config = Config::new();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(400)
        .total_core_instances(2000)
        .total_memories(400)
        .total_tables(2000);
    pool.max_memory_size(128 << 20).total_stacks(400);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
        .memory_init_cow(true)
        .max_wasm_stack(1 << 20)
        .async_stack_size(2 << 20);
    let engine = Engine::new(&config)?;
    let wasm = std::fs::read(&path)?;
    let started = Instant::now();
    let runtime = Runtime::new(&engine, &wasm)?;
    println!(
        "component {} bytes, compiled in {:?}",
        wasm.len(),
        started.elapsed()
    );
    let wrong = cases(&runtime).await?;
    bad_sources(&runtime).await?;
    measure(&runtime).await?;
    ensure!(wrong == 0, "{wrong} cases went wrong");
    println!("all cases as expected");
    Ok(())
}
