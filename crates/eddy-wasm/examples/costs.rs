//! Shows where the cost of instances lies:
//! `cargo run --release -p eddy-wasm --example costs rust|js churn|call|live COUNT`. `churn` makes and
//! drops instances, for a profiler; `call` runs one turn in each; `live` keeps them, after one turn,
//! and tells the kernel's view of the memory by kind of mapping.

#[path = "host/mod.rs"]
mod host;

use bytes::Bytes;
use eddy_types::{AgentId, Key, MethodName, Name, TenantId};
use eddy_wasm::{
    CacheConfig, CancelToken, Code, Engine, EngineConfig, Instance, InstanceLimits, JsModule,
    Program, Target,
};
use std::collections::BTreeMap;
use std::fs;

const GUEST: &[u8] = include_bytes!("../assets/bench-guest.wasm");
const SOURCE: &str = "import { agent, fn } from 'eddy';
export const echo = fn((ctx, x) => x);
export const counter = agent({
  increment(ctx, arg) {
    const n = (ctx.state.get('n') ?? 0) + (arg?.by ?? 1);
    ctx.state.set('n', n);
    return { n };
  },
});";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, what, count] = &arguments[..] else {
        return Err("usage: costs rust|js churn|call|live COUNT".into());
    };
    let count: usize = count.parse()?;
    let engine = Engine::new(EngineConfig {
        cache: Some(CacheConfig {
            dir: std::env::temp_dir().join("eddy-costs-cache"),
            key: [7; 32],
            shared: None,
        }),
        ..EngineConfig::default()
    })?;
    let (code, program) = match kind.as_str() {
        "js" => {
            let module = JsModule {
                name: "echo.js".to_owned(),
                source: SOURCE.to_owned(),
            };
            let program = engine.compile_js(&[module], &CancelToken::new()).await?;
            (engine.js_code()?, Some(program))
        }
        _ => (engine.compile(GUEST)?, None),
    };
    let turn = Target::Method(
        AgentId::new(
            TenantId::default_tenant(),
            Name::new("counter")?,
            Key::new("ada")?,
        ),
        MethodName::new("increment")?,
    );
    for _ in 0..20 {
        called(&code, program.as_ref(), &turn).await?;
    }
    let start = on_cpu()?;
    match what.as_str() {
        "churn" => {
            for _ in 0..count {
                fresh(&code, program.as_ref()).await?;
            }
        }
        "call" => {
            for _ in 0..count {
                called(&code, program.as_ref(), &turn).await?;
            }
        }
        _ => {
            let before = rollup()?;
            let mut kept = Vec::with_capacity(count);
            for _ in 0..count {
                kept.push(called(&code, program.as_ref(), &turn).await?);
            }
            let after = rollup()?;
            for (kind, now) in &after {
                let was = before.get(kind).copied().unwrap_or_default();
                let each = |now: usize, was: usize| (now as f64 - was as f64) / count as f64;
                println!(
                    "{kind:<40} rss {:>8.2} KiB  private {:>8.2} KiB  maps {:>6.2}",
                    each(now[0], was[0]),
                    each(now[1], was[1]),
                    each(now[2], was[2])
                );
            }
        }
    }
    println!("{:.2} us each", (on_cpu()? - start) / count as f64);
    Ok(())
}

/// Time the main thread had the CPU, in microseconds.
fn on_cpu() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(nanoseconds / 1e3)
}

/// KiB resident, KiB private and number of mappings, by kind.
fn rollup() -> Result<BTreeMap<String, [usize; 3]>> {
    let mut found: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut kind = String::new();
    for line in fs::read_to_string("/proc/self/smaps")?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|n| n.parse().ok()).unwrap_or(0);
        match words.first().copied().unwrap_or_default() {
            "Rss:" => found.entry(kind.clone()).or_default()[0] += number(1),
            "Private_Dirty:" => found.entry(kind.clone()).or_default()[1] += number(1),
            first if !first.ends_with(':') => {
                let (start, end) = first.split_once('-').unwrap_or(("0", "0"));
                let size = usize::from_str_radix(end, 16)? - usize::from_str_radix(start, 16)?;
                let name = words.get(5).copied().unwrap_or("anonymous");
                kind = match size {
                    _ if name != "anonymous" => name.to_owned(),
                    0..=0x1_000_000 => format!("{name} {} KiB {}", size >> 10, words[1]),
                    _ => format!("{name} {} MiB {}", size >> 20, words[1]),
                };
                found.entry(kind.clone()).or_default()[2] += 1;
            }
            _ => {}
        }
    }
    Ok(found
        .into_iter()
        .filter(|(_, [rss, _, maps])| *rss > 400 || *maps > 100)
        .collect())
}

async fn fresh(code: &Code, program: Option<&Program>) -> Result<Instance> {
    Ok(code
        .instantiate(&InstanceLimits::default(), program, &CancelToken::new())
        .await?)
}

async fn called(code: &Code, program: Option<&Program>, turn: &Target) -> Result<Instance> {
    let mut instance = fresh(code, program).await?;
    instance
        .handle(
            turn,
            Bytes::from_static(b"null"),
            Box::new(host::Nothing),
            &CancelToken::new(),
        )
        .await??;
    Ok(instance)
}
