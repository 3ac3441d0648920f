use eddy_sdk::prelude::*;

#[query]
fn value(_ctx: &AgentContext) -> Result<i64> {
    Ok(1)
}

fn main() {}
