use eddy_sdk::prelude::*;

#[agent]
pub struct Counter;

#[agent]
impl Counter {
    pub fn value() -> Result<i64> {
        Ok(1)
    }

    pub fn add(by: i64) -> Result<i64> {
        Ok(by)
    }
}

fn main() {}
