use eddy_sdk::prelude::*;

#[agent]
pub struct Counter;

eddy_sdk::export!(Counter);

fn main() {}
