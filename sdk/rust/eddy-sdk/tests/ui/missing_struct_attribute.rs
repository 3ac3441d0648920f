use eddy_sdk::prelude::*;

pub struct Counter;

#[agent]
impl Counter {
    pub fn value(_ctx: &AgentContext) -> Result<i64> {
        Ok(1)
    }
}

fn main() {}
