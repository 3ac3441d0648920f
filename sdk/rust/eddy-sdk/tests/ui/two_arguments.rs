use eddy_sdk::prelude::*;

#[agent]
pub struct Account;

#[agent]
impl Account {
    pub fn transfer(_ctx: &AgentContext, to: String, amount: u64) -> Result<()> {
        let _ = (to, amount);
        Ok(())
    }
}

fn main() {}
