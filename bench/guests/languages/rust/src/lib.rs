//! The counter of the benchmarks in Rust.

use eddy_sdk::prelude::*;

eddy_sdk::export!(Counter, hello);

/// Another number for each deploy: the benchmark replaces it.
const VERSION: u32 = 424242;

#[agent]
pub struct Counter;

#[derive(Default, Deserialize)]
pub struct Increment {
    by: Option<i64>,
}

#[derive(Deserialize)]
pub struct Put {
    key: String,
}

#[derive(Serialize)]
pub struct Count {
    n: i64,
}

#[agent]
impl Counter {
    pub fn increment(ctx: &AgentContext, increment: Option<Increment>) -> Result<Count> {
        let by = increment.unwrap_or_default().by.unwrap_or(1);
        let n = ctx.state.get::<i64>("n")?.unwrap_or_default() + by;
        ctx.state.set("n", n)?;
        Ok(Count { n })
    }

    pub fn put(ctx: &AgentContext, put: Put) -> Result<()> {
        ctx.state.set(&put.key, "x".repeat(100))
    }

    #[query]
    pub fn value(ctx: &AgentContext) -> Result<Count> {
        let n = ctx.state.get::<i64>("n")?.unwrap_or_default();
        Ok(Count { n })
    }
}

#[function]
pub fn hello(_ctx: &FunctionContext) -> Result<String> {
    Ok(format!("hello from {VERSION}"))
}
