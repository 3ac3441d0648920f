//! What `export!` lists is what the app defines: an agent type with a method and a query, and a function.

use eddy_sdk::prelude::*;

#[derive(Serialize, Deserialize)]
pub struct Entry {
    at: u64,
    name: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
pub struct Signature {
    name: String,
    text: String,
}

#[derive(Serialize)]
pub struct Signed {
    entries: u32,
}

#[derive(Deserialize)]
pub struct Person {
    #[serde(default = "world")]
    name: String,
}

fn world() -> String {
    "world".to_owned()
}

/// A guest book. Each key (`guestbook/main`, `guestbook/garden`) is a book of its own, with durable state.
#[agent]
pub struct Guestbook;

#[agent]
impl Guestbook {
    /// Adds an entry. Everything a turn changes commits together, or not at all.
    pub fn sign(ctx: &AgentContext, Signature { name, text }: Signature) -> Result<Signed> {
        if text.is_empty() {
            return Err(EddyError::new("empty-entry", "an entry needs a text").status(422));
        }
        let entries = ctx.state.get::<u32>("count")?.unwrap_or(0) + 1;
        ctx.log.info(format!("{name} signed"));
        let at = ctx.now();
        ctx.state
            .set(&format!("entry/{entries:06}"), Entry { at, name, text })?;
        ctx.state.set("count", entries)?;
        Ok(Signed { entries })
    }

    /// A query: it reads, and never writes.
    #[query]
    pub fn entries(ctx: &AgentContext) -> Result<Vec<Entry>> {
        let entries = ctx.state.list::<Entry>("entry/")?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// A function: no state, any number of them at once.
#[function]
pub fn greet(ctx: &FunctionContext, Person { name }: Person) -> Result<String> {
    ctx.log.debug(format!("greeting {name}"));
    Ok(format!("Hello, {name}!"))
}

eddy_sdk::export!(Guestbook, greet);
