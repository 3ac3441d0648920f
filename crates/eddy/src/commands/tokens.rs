//! `eddy token`: over the API, or with `--data` on the data folder of a node that is stopped.

use crate::args::{TokenCommand, TokenCreateArgs};
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use eddy_api::{CreatedToken, NewToken, Token, TokenList};
use eddy_node::OfflineAccess;
use eddy_types::{EddyError, ErrorCode, Role, TenantId};
use serde_json::json;
use std::path::Path;

pub(crate) async fn run(
    remote: &Remote,
    command: TokenCommand,
    output: &Output,
) -> Result<(), Failed> {
    match command {
        TokenCommand::Create(args) => create(remote, args, output).await,
        TokenCommand::List { data } => {
            let tokens = match data {
                None => remote.http()?.tokens().await?,
                Some(data) => TokenList {
                    items: offline(&data)?
                        .tokens()
                        .into_iter()
                        .map(eddy_server::token)
                        .collect(),
                },
            };
            output.data(&tokens, || listing(&tokens.items))
        }
        TokenCommand::Revoke { id, data } => {
            match data {
                None => remote.http()?.revoke_token(&id).await?,
                Some(data) => offline(&data)?.revoke_token(&id)?,
            }
            output.done(&json!({ "revoked": id }), format_args!("revoked {id}"))
        }
    }
}

async fn create(remote: &Remote, args: TokenCreateArgs, output: &Output) -> Result<(), Failed> {
    let created = match &args.data {
        None => remote.http()?.create_token(&new(remote, &args)).await?,
        Some(data) => {
            let (info, text) = offline(data)?.create_token(new_offline(remote, &args)?)?;
            CreatedToken {
                token: text.reveal().to_owned(),
                info: eddy_server::token(info),
            }
        }
    };
    let Token {
        id, tenant, role, ..
    } = &created.info;
    let of = tenant.as_deref().unwrap_or("the node");
    output.say(format_args!(
        "made {id}, of the role {role}, for {of}; it is shown this once:"
    ));
    output.data(&created, || created.token.clone())
}

fn new(remote: &Remote, args: &TokenCreateArgs) -> NewToken {
    // The tenant is for whom it is made, too: an operator's is of none.
    let tenant = remote.tenant().filter(|_| args.role != Role::Operator);
    NewToken {
        tenant: tenant.map(str::to_owned),
        role: args.role.to_string(),
        name: args.name.clone(),
        expires_in: args
            .expires
            .map(|time| humantime::format_duration(time).to_string()),
    }
}

fn new_offline(remote: &Remote, args: &TokenCreateArgs) -> Result<eddy_node::NewToken, EddyError> {
    let tenant = remote.tenant().unwrap_or(TenantId::DEFAULT);
    let tenant = match args.role {
        Role::Operator => None,
        _ => Some(TenantId::new(tenant)?),
    };
    Ok(eddy_node::NewToken {
        tenant,
        role: args.role,
        name: args.name.clone(),
        lifetime: args.expires,
    })
}

fn offline(data: &Path) -> Result<OfflineAccess, EddyError> {
    OfflineAccess::open(data).map_err(|error| match error.code {
        ErrorCode::DataInUse => {
            error.hint("The node runs: leave --data out, and ask it. Or stop it first.")
        }
        _ => error,
    })
}

fn listing(tokens: &[Token]) -> String {
    if tokens.is_empty() {
        return String::new();
    }
    let row = |token: &Token| {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            token.id.clone(),
            or(&token.tenant),
            token.role.clone(),
            token.created.clone(),
            or(&token.expires),
            token.name.clone(),
        ]
    };
    table(
        &["id", "tenant", "role", "created", "expires", "name"],
        tokens.iter().map(row),
    )
}
