use eddy_sdk::prelude::*;

#[function]
pub fn nothing(_ctx: &FunctionContext) {}

#[function]
pub fn plain(_ctx: &FunctionContext) -> i64 {
    1
}

fn main() {}
