use eddy_sdk::prelude::*;

#[function]
pub fn echo<T: Serialize>(_ctx: &FunctionContext, value: T) -> Result<T> {
    Ok(value)
}

fn main() {}
