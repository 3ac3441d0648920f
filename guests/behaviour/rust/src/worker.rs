//! Calls between agents, their own address, and what belongs to one turn only.

use crate::requests::{Request, make};
use eddy_sdk::prelude::*;
use eddy_sdk::{Address, Call};
use serde_json::Value;
use std::cell::RefCell;
use std::time::Duration;

thread_local! {
    /// A context cannot outlive its handler; a call can.
    static KEPT: RefCell<Option<Call<u64>>> = const { RefCell::new(None) };
}

#[agent]
pub struct Worker;

#[derive(Deserialize)]
pub struct Work {
    ms: u64,
    signal: String,
}

#[derive(Deserialize, Serialize)]
pub struct Chain {
    keys: Vec<String>,
}

#[agent]
impl Worker {
    pub fn tick(ctx: &AgentContext) -> Result<u64> {
        Self::count(ctx)
    }

    fn count(ctx: &AgentContext) -> Result<u64> {
        let ticks = ctx.state.get("ticks")?.unwrap_or(0) + 1;
        ctx.state.set("ticks", ticks)?;
        Ok(ticks)
    }

    #[query]
    pub fn ticks(ctx: &AgentContext) -> Result<u64> {
        Ok(ctx.state.get("ticks")?.unwrap_or(0))
    }

    #[query]
    pub fn address(ctx: &AgentContext) -> Result<Address> {
        Ok(ctx.address().clone())
    }

    pub async fn work(ctx: &AgentContext, Work { ms, signal }: Work) -> Result<()> {
        ctx.agent::<Worker>(&signal).tick().await?;
        ctx.sleep(Duration::from_millis(ms)).await?;
        Self::count(ctx)?;
        Ok(())
    }

    pub async fn request(ctx: &AgentContext, wanted: Request) -> Result<Value> {
        make(ctx, &wanted).await
    }

    pub fn forget(ctx: &AgentContext, wanted: Request) -> Result<&'static str> {
        let _call = make(ctx, &wanted);
        Self::count(ctx)?;
        Ok("done")
    }

    pub async fn call_itself(ctx: &AgentContext) -> Result<u64> {
        let own = ctx.address();
        ctx.call(&own.agent_type, &own.key, "tick", ()).await
    }

    pub async fn chain(ctx: &AgentContext, chain: Chain) -> Result<u64> {
        let mut keys = chain.keys.into_iter();
        match keys.next() {
            None => Self::count(ctx),
            Some(first) => {
                let rest = keys.collect();
                ctx.agent::<Worker>(&first)
                    .chain(Chain { keys: rest })
                    .await
            }
        }
    }

    pub fn keep(ctx: &AgentContext) -> Result<()> {
        let call = ctx.agent::<Worker>("kept").ticks();
        KEPT.set(Some(call));
        Ok(())
    }

    pub async fn use_kept(_ctx: &AgentContext) -> Result<()> {
        if let Some(call) = KEPT.take() {
            call.await?;
        }
        Ok(())
    }
}
