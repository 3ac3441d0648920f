//! `eddy invocations`: what ran.

use crate::args::InvocationsArgs;
use crate::commands::pages::{listed, say_of_more};
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{Invocation, InvocationPage, InvocationTarget, PageQuery};
use std::time::Duration;

const COLUMNS: [&str; 6] = ["id", "status", "target", "queued", "ran", "start"];

pub(crate) async fn run(
    remote: &Remote,
    args: &InvocationsArgs,
    output: &Output,
) -> Result<(), Failed> {
    let client = remote.http()?;
    if let Some(id) = &args.id {
        let invocation = client.invocation(id).await?;
        return output.data(&invocation, || in_full(&invocation));
    }
    let page = async |query: &PageQuery| {
        let page = client.invocations(query).await?;
        Ok((page.items, page.next))
    };
    let (items, next) = listed(args.limit, page).await?;
    let page = InvocationPage { items, next };
    output.data(&page, || match &page.items[..] {
        [] => String::new(),
        items => table(&COLUMNS, items.iter().map(row)),
    })?;
    say_of_more(page.next.as_ref(), output);
    Ok(())
}

fn row(invocation: &Invocation) -> Vec<String> {
    let ran = invocation
        .run_us
        .map(|micros| humantime::format_duration(Duration::from_micros(micros)).to_string());
    let start = invocation
        .cold
        .map_or("", |cold| if cold { "cold" } else { "warm" });
    vec![
        invocation.id.clone(),
        invocation.status.as_str().to_owned(),
        target(&invocation.target),
        invocation.queued.clone(),
        ran.unwrap_or_default(),
        start.to_owned(),
    ]
}

pub(crate) fn target(target: &InvocationTarget) -> String {
    match (&target.function, &target.agent, &target.method) {
        (Some(function), ..) => function.clone(),
        (None, Some(agent), Some(method)) => format!("{agent} {method}"),
        _ => String::new(),
    }
}

/// The row, then the result or the error, then the log.
fn in_full(invocation: &Invocation) -> String {
    let mut text = table(&COLUMNS, [row(invocation)]);
    if let Some(result) = &invocation.result {
        text += &format!("\nresult: {}", result.get());
    }
    if let Some(error) = &invocation.error {
        text += &format!("\nerror: {}: {}", error.code, error.detail);
        let stack = error
            .guest
            .as_ref()
            .and_then(|guest| guest.stack.as_deref());
        for line in stack.unwrap_or_default().lines() {
            text += &format!("\n    {}", line.trim());
        }
    }
    for line in &invocation.logs {
        text += &format!("\n{} {:5} {}", line.at, line.level, line.message);
    }
    text
}
