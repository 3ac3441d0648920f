use eddy_sdk::prelude::*;
use std::cell::Cell;

thread_local! {
    static KEPT: Cell<Option<&'static AgentContext>> = const { Cell::new(None) };
}

#[agent]
pub struct Counter;

#[agent]
impl Counter {
    pub fn keep(ctx: &AgentContext) -> Result<()> {
        KEPT.set(Some(ctx));
        Ok(())
    }
}

fn main() {}
