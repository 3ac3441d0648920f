//! `eddy dead-letters`.

use crate::args::DeadLetterCommand;
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{Client, DeadLetter, DeadLetterPage, PageQuery};
use eddy_types::limits::MAX_PAGE;
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
    let mut page = DeadLetterPage {
        items: Vec::new(),
        next: None,
    };
    while page.items.len() < limit {
        let query = PageQuery {
            cursor: page.next.take(),
            limit: Some((limit - page.items.len()).min(MAX_PAGE)),
        };
        let more = client.dead_letters(&query).await?;
        page.items.extend(more.items);
        page.next = more.next;
        if page.next.is_none() {
            break;
        }
    }
    if page.next.is_some() {
        output.say("There are more; --limit lists more of them.");
    }
    output.data(&page, || match &page.items[..] {
        [] => String::new(),
        items => table(
            &["id", "given up", "to", "method", "attempts", "error"],
            items.iter().map(row),
        ),
    })
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
