//! `eddy ls` and `eddy delete`: what is deployed.

use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{App, Function, Method};
use serde_json::json;

pub(crate) async fn list(remote: &Remote, output: &Output) -> Result<(), Failed> {
    let apps = remote.http()?.apps().await?;
    if apps.items.is_empty() {
        output.say("Nothing is deployed. `eddy deploy PATH` deploys a file or a folder.");
    }
    for app in &apps.items {
        if let Some(error) = &app.error {
            output.say(format_args!("{} cannot run. {}", app.name, error.detail));
        }
    }
    output.data(&apps, || match &apps.items[..] {
        [] => String::new(),
        items => listed(items),
    })
}

/// Takes an app away.
pub(crate) async fn delete(remote: &Remote, name: &str, output: &Output) -> Result<(), Failed> {
    remote.http()?.delete_app(name).await?;
    output.done(
        &json!({ "deleted": name }),
        format_args!(
            "deleted {name}; the state of its agents stays for the next app that defines them"
        ),
    )
}

/// Apps as a table. Only some have routes.
pub(crate) fn listed(apps: &[App]) -> String {
    let mut functions = apps.iter().flat_map(|app| &app.functions);
    let last = match functions.any(|function| !function.routes.is_empty()) {
        true => "methods, routes",
        false => "methods",
    };
    let head = ["app", "version", "kind", "name", last];
    table(&head, apps.iter().flat_map(rows))
}

/// A row per function and agent type; the app alone when it has neither.
fn rows(app: &App) -> Vec<Vec<String>> {
    let row = |kind: &str, name: &str, methods: String| {
        let version = app.version.to_string();
        vec![
            app.name.clone(),
            version,
            kind.to_owned(),
            name.to_owned(),
            methods,
        ]
    };
    let functions = app
        .functions
        .iter()
        .map(|function| row("function", &function.name, routes(app, function)));
    let agents = app
        .agents
        .iter()
        .map(|agent| row("agent", &agent.name, methods(&agent.methods)));
    let rows: Vec<_> = functions.chain(agents).collect();
    if rows.is_empty() {
        vec![row("", "", String::new())]
    } else {
        rows
    }
}

/// Where a function answers HTTP requests; most do not.
fn routes(app: &App, function: &Function) -> String {
    let routes = function.routes.iter();
    let paths: Vec<_> = routes
        .map(|route| format!("/apps/{}{route}", app.name))
        .collect();
    paths.join(", ")
}

fn methods(methods: &[Method]) -> String {
    let names: Vec<_> = methods
        .iter()
        .map(|method| match method.read_only {
            true => format!("{} (query)", method.name),
            false => method.name.clone(),
        })
        .collect();
    names.join(", ")
}
