use eddy_sdk::prelude::*;

#[function]
pub fn greet(_ctx: &FunctionContext, name: &str) -> Result<String> {
    Ok(name.to_owned())
}

fn main() {}
