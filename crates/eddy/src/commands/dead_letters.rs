//! `eddy dead-letters`.

use crate::args::DeadLetterCommand;
use crate::commands::pages::{listed, say_of_more};
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{Client, DeadLetter, DeadLetterPage, PageQuery};
use serde_json::json;

pub(crate) async fn run(
    remote: &Remote,
    command: Option<DeadLetterCommand>,
    limit: usize,
    output: &Output,
) -> Result<(), Failed> {
    let client = remote.http()?;
    match command {
        None => list(&client, limit, output).await,
        Some(DeadLetterCommand::Redrive { id }) => {
            client.redrive(&id).await?;
            output.done(
                &json!({ "redriven": id }),
                format_args!("{id} is on its way again"),
            )
        }
        Some(DeadLetterCommand::Discard { id }) => {
            client.discard(&id).await?;
            output.done(&json!({ "discarded": id }), format_args!("dropped {id}"))
        }
    }
}

async fn list(client: &Client, limit: usize, output: &Output) -> Result<(), Failed> {
    let page = async |query: &PageQuery| {
        let page = client.dead_letters(query).await?;
        Ok((page.items, page.next))
    };
    let (items, next) = listed(limit, page).await?;
    let page = DeadLetterPage { items, next };
    output.data(&page, || match &page.items[..] {
        [] => String::new(),
        items => table(
            &["id", "given up", "to", "method", "attempts", "error"],
            items.iter().map(row),
        ),
    })?;
    say_of_more(page.next.as_ref(), output);
    Ok(())
}

fn row(letter: &DeadLetter) -> Vec<String> {
    vec![
        letter.id.clone(),
        letter.at.clone(),
        letter.to.to_string(),
        letter.method.clone(),
        letter.attempts.to_string(),
        format!("{}: {}", letter.error.code, letter.error.detail),
    ]
}
