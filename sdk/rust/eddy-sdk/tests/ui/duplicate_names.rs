mod first {
    use eddy_sdk::prelude::*;

    #[function]
    pub fn greet(_ctx: &FunctionContext) -> Result<()> {
        Ok(())
    }
}

mod second {
    use eddy_sdk::prelude::*;

    #[function(name = "greet")]
    pub fn other(_ctx: &FunctionContext) -> Result<()> {
        Ok(())
    }
}

eddy_sdk::export!(first::greet, second::other);

fn main() {}
