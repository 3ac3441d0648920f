use eddy_sdk::prelude::*;

#[agent]
pub struct Counter;

#[agent]
impl Counter {
    #[query]
    fn value(_ctx: &AgentContext) -> Result<i64> {
        Ok(1)
    }
}

fn main() {}
