use eddy_sdk::prelude::*;

#[function]
pub struct Greet;

fn main() {}
