//! `eddy dead-letters`.

use crate::args::DeadLetterCommand;
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{Client, DeadLetter, PageQuery};

pub(crate) async fn run(
    remote: &Remote,
    command: Option<DeadLetterCommand>,
    output: &Output,
) -> Result<(), Failed> {
    let client = remote.http()?;
    match command {
        None => list(&client, output).await,
        Some(DeadLetterCommand::Redrive { id }) => {
            client.redrive(&id).await?;
            output.say(format_args!("{id} is on its way again"));
            Ok(())
        }
        Some(DeadLetterCommand::Discard { id }) => {
            client.discard(&id).await?;
            output.say(format_args!("dropped {id}"));
            Ok(())
        }
    }
}

async fn list(client: &Client, output: &Output) -> Result<(), Failed> {
    let page = client.dead_letters(&PageQuery::default()).await?;
    if page.next.is_some() {
        output.say("There are more; the API lists them page by page.");
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
