use eddy_sdk::prelude::*;

#[agent]
pub enum Counter {
    One,
}

fn main() {}
