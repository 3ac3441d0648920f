//! `eddy agents` and `eddy agent`.

use crate::args::{AgentsArgs, Keyed};
use crate::caller::Caller;
use crate::exit::Failed;
use crate::input;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{Agent, AgentPage, CallOptions, Client, PageQuery};
use serde_json::json;

pub(crate) async fn list(
    remote: &Remote,
    args: &AgentsArgs,
    output: &Output,
) -> Result<(), Failed> {
    let client = remote.http()?;
    let types = match &args.agent_type {
        Some(agent_type) => vec![agent_type.clone()],
        None => every_type(&client).await?,
    };
    let mut items = Vec::new();
    for agent_type in &types {
        all_of(&client, agent_type, &args.prefix, &mut items).await?;
    }
    let page = AgentPage { items, next: None };
    output.data(&page, || match &page.items[..] {
        [] => String::new(),
        items => table(
            &["agent", "created", "updated", "active"],
            items.iter().map(row),
        ),
    })
}

pub(crate) async fn show(remote: &Remote, address: &str, output: &Output) -> Result<(), Failed> {
    let (agent_type, key) = input::address(address)?;
    let agent = remote.http()?.agent(agent_type, key).await?;
    output.data(&agent, || {
        table(&["agent", "created", "updated", "active"], [row(&agent)])
    })
}

pub(crate) async fn delete(
    remote: &Remote,
    address: &str,
    keyed: Keyed,
    output: &Output,
) -> Result<(), Failed> {
    let (agent_type, key) = input::address(address)?;
    let options = CallOptions {
        idempotency_key: keyed.idempotency_key,
        ..CallOptions::default()
    };
    let caller = Caller::of(remote, &[agent_type, key], &options).await?;
    caller.delete(agent_type, key, &options).await?;
    output.done(
        &json!({ "deleted": address }),
        format_args!("deleted {address}"),
    )
}

async fn every_type(client: &Client) -> Result<Vec<String>, Failed> {
    let apps = client.apps().await?.items;
    Ok(apps
        .into_iter()
        .flat_map(|app| app.agents)
        .map(|agent| agent.name)
        .collect())
}

async fn all_of(
    client: &Client,
    agent_type: &str,
    prefix: &str,
    items: &mut Vec<Agent>,
) -> Result<(), Failed> {
    let mut page = PageQuery::default();
    loop {
        let answer = client.agents(agent_type, prefix, &page).await?;
        items.extend(answer.items);
        match answer.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn row(agent: &Agent) -> Vec<String> {
    let active = if agent.active { "yes" } else { "no" };
    vec![
        format!("{}/{}", agent.agent_type, agent.key),
        agent.created.clone(),
        agent.updated.clone(),
        active.to_owned(),
    ]
}
