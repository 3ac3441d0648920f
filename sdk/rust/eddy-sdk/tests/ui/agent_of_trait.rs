use eddy_sdk::prelude::*;

#[agent]
pub struct Counter;

#[agent]
impl Default for Counter {
    fn default() -> Self {
        Counter
    }
}

fn main() {}
