//! Prints what instances cost, warm and cold, for the guest of the benchmarks and for JavaScript:
//! `cargo run --release -p eddy-wasm --example figures [LIVE INSTANCES]`. Times are those on the
//! CPU, so that a busy machine does not change them much. Python too, when EDDY_PYTHON_RUNTIME names a
//! runtime that `eddy` has built.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "host/mod.rs"]
mod host;

use bytes::Bytes;
use eddy_types::{EddyError, Name};
use eddy_wasm::{
    CancelToken, Code, Engine, EngineConfig, Instance, InstanceLimits, JsModule, Program,
    PythonModule, Target,
};
use host::Nothing;
use std::fs;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 20_000;
const GUEST: &[u8] = include_bytes!("../assets/bench-guest.wasm");
const SOURCE: &str = "import { fn } from 'eddy'; export const echo = fn((ctx, x) => x);";

const PYTHON: &str = "from eddy import fn\n@fn\ndef echo(ctx, x, /): return x\n@fn\nasync def later(ctx, x, /): return x\n";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let engine = Engine::new(EngineConfig::default())?;
    println!("maps of an empty engine for 10,000 instances: {}", maps());
    let ticking = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(1));
            ticking.tick();
        }
    });
    let code = measured("compile", || engine.compile(GUEST))?;
    figures("bench-guest", &code, None).await?;
    let code = measured("compile the JavaScript runtime", || engine.js_code())?;
    let module = JsModule {
        name: "echo.js".to_owned(),
        source: SOURCE.to_owned(),
    };
    let program = engine.compile_js(&[module], &CancelToken::new()).await?;
    figures("javascript", &code, Some(&program)).await?;
    if let Some(runtime) = std::env::var_os("EDDY_PYTHON_RUNTIME") {
        let runtime = fs::read(runtime)?;
        let code = measured("compile the Python runtime", || engine.compile(&runtime))?;
        let module = PythonModule {
            name: "echo".to_owned(),
            path: "echo.py".to_owned(),
            source: PYTHON.to_owned(),
        };
        let program = code.compile_python(&[module], &CancelToken::new()).await?;
        figures("python", &code, Some(&program)).await?;
    }
    Ok(())
}

async fn figures(name: &str, code: &Code, program: Option<&Program>) -> Result<()> {
    println!("{name}:");
    let argument = Bytes::from(r#"{"user":"ada","items":[1,2,3]}"#);
    let echo = Target::Function(Name::new("echo")?);
    for with_call in [false, true] {
        let start = on_cpu()?;
        let rounds = if program.is_some() {
            ROUNDS / 100
        } else {
            ROUNDS / 10
        };
        for _ in 0..rounds {
            let mut instance = fresh(code, program).await?;
            if with_call {
                call(&mut instance, &echo, &argument).await?;
            }
        }
        let what = if with_call {
            "instantiate, call, drop"
        } else {
            "instantiate, drop"
        };
        each(what, on_cpu()? - start, rounds);
    }
    let mut instance = fresh(code, program).await?;
    for (what, argument) in [("warm call", argument), ("warm call, 1 KiB", kilobyte())] {
        let start = on_cpu()?;
        for _ in 0..ROUNDS {
            call(&mut instance, &echo, &argument).await?;
        }
        each(what, on_cpu()? - start, ROUNDS);
    }
    live(code, program, &echo).await
}

/// Keeps many instances alive, each called once.
async fn live(code: &Code, program: Option<&Program>, echo: &Target) -> Result<()> {
    let (before, maps_before) = (resident_kib()?, maps());
    let mut kept = Vec::new();
    let count = std::env::args()
        .nth(1)
        .map_or(Ok(2_000), |count| count.parse())?;
    for _ in 0..count {
        let mut instance = fresh(code, program).await?;
        call(&mut instance, echo, &kilobyte()).await?;
        kept.push(instance);
    }
    let (after, maps_after) = (resident_kib()?, maps());
    println!(
        "  {:<26} {:>9} KiB",
        "memory per live instance",
        after.saturating_sub(before) / count
    );
    println!(
        "  {:<26} {:>9.1}",
        "maps per live instance",
        maps_after.saturating_sub(maps_before) as f64 / count as f64
    );
    Ok(())
}

async fn fresh(code: &Code, program: Option<&Program>) -> Result<Instance> {
    Ok(code
        .instantiate(&InstanceLimits::default(), program, &CancelToken::new())
        .await?)
}

async fn call(instance: &mut Instance, target: &Target, argument: &Bytes) -> Result<()> {
    let outcome = instance
        .handle(
            target,
            argument.clone(),
            Box::new(Nothing),
            &CancelToken::new(),
        )
        .await?;
    assert_eq!(&outcome?, argument);
    Ok(())
}

fn kilobyte() -> Bytes {
    format!("\"{}\"", "x".repeat(1022)).into()
}

fn measured<T>(what: &str, act: impl FnOnce() -> std::result::Result<T, EddyError>) -> Result<T> {
    let start = Instant::now();
    let value = act()?;
    println!("{what}: {:.0?}", start.elapsed());
    Ok(value)
}

fn each(what: &str, took: Duration, rounds: u32) {
    println!(
        "  {what:<26} {:>9.2} us",
        took.as_secs_f64() * 1e6 / f64::from(rounds)
    );
}

/// Time the main thread had the CPU.
fn on_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn resident_kib() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0");
    Ok(line.split_whitespace().next().unwrap_or("0").parse()?)
}

fn maps() -> usize {
    fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count())
}
