use eddy_sdk::prelude::*;

#[agent]
pub struct Counter {
    pub n: i64,
}

fn main() {}
