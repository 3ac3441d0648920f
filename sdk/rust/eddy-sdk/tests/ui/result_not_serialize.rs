use eddy_sdk::prelude::*;

pub struct Person {
    pub name: String,
}

#[function]
pub fn make(_ctx: &FunctionContext, name: String) -> Result<Person> {
    Ok(Person { name })
}

fn main() {}
