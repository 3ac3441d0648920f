use eddy_sdk::prelude::*;

#[agent]
pub struct Counter;

#[agent]
impl Counter {
    pub async fn increment(&mut self, by: i64) -> Result<i64> {
        Ok(by)
    }
}

fn main() {}
