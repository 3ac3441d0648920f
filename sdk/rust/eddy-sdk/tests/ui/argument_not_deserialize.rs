use eddy_sdk::prelude::*;

pub struct Person {
    name: String,
}

#[function]
pub fn greet(_ctx: &FunctionContext, person: Person) -> Result<String> {
    Ok(person.name)
}

fn main() {}
