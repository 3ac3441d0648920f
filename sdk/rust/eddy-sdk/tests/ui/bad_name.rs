use eddy_sdk::prelude::*;

#[agent(name = "shopping cart")]
pub struct Cart;

#[function(label = "greet")]
pub fn greet(_ctx: &FunctionContext) -> Result<()> {
    Ok(())
}

#[function]
pub fn grüße(_ctx: &FunctionContext) -> Result<()> {
    Ok(())
}

fn main() {}
