//! `eddy tenant`: what tenants may use, and what they use.

use crate::args::{Bound, TenantCommand, TenantSetArgs};
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::remote::Remote;
use bytesize::ByteSize;
use eddy_api::{SetTenant, Tenant, TenantList};
use eddy_types::{EddyError, ErrorCode, TenantId};

pub(crate) async fn run(
    remote: &Remote,
    command: TenantCommand,
    output: &Output,
) -> Result<(), Failed> {
    let client = remote.http()?;
    match command {
        TenantCommand::List => {
            let list = client.tenants().await?;
            output.data(&list, || listing(&list))
        }
        TenantCommand::Show { name } => {
            let tenant = client.tenant(&name).await?;
            output.data(&tenant, || described(&tenant))
        }
        TenantCommand::Set(args) => {
            let tenant = client.set_tenant(&args.name, &change(&args)?).await?;
            output.data(&tenant, || described(&tenant))
        }
    }
}

fn change(args: &TenantSetArgs) -> Result<SetTenant, EddyError> {
    let hosts = args.hosts.as_deref().map(|text| hosts(&args.name, text));
    Ok(SetTenant {
        memory_bytes: args.memory.map(Bound::into_limit),
        concurrency: args.concurrency.map(Bound::into_limit),
        rate: args.rate.map(Bound::into_limit),
        storage_bytes: args.storage.map(Bound::into_limit),
        hosts: hosts.transpose()?,
        secrets: args.secrets.as_deref().map(words),
    })
}

/// What a tenant begins with has a word, and not the same one for `default` as for others.
fn hosts(tenant: &str, text: &str) -> Result<Option<Vec<String>>, EddyError> {
    let is_default = tenant == TenantId::DEFAULT;
    match (text, is_default) {
        ("public", false) | ("all", true) => Ok(None),
        ("public", true) => Err(EddyError::new(
            ErrorCode::InvalidArgument,
            "the tenant default reaches everything, or the hosts that are listed for it",
        )
        .hint("Say `all`, or list the hosts.")),
        ("all", false) => Err(EddyError::new(
            ErrorCode::InvalidArgument,
            format!("the tenant {tenant:?} cannot be given all hosts at once"),
        )
        .hint("Say `public` for the public internet, or list the hosts, private ones too.")),
        (text, _) => Ok(Some(words(text))),
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn listing(list: &TenantList) -> String {
    let row = |tenant: &Tenant| {
        let (limits, usage) = (&tenant.limits, &tenant.usage);
        vec![
            tenant.name.clone(),
            of(size(usage.memory_bytes), limits.memory_bytes.map(size)),
            of(usage.requests, limits.concurrency),
            limits.rate.map_or_else(none, |rate| format!("{rate}/s")),
            of(
                usage.storage_bytes.map_or_else(unknown, size),
                limits.storage_bytes.map(size),
            ),
        ]
    };
    let header = ["tenant", "memory", "requests", "rate", "storage"];
    table(&header, list.items.iter().map(row))
}

fn described(tenant: &Tenant) -> String {
    let (limits, usage) = (&tenant.limits, &tenant.usage);
    let storage = usage.storage_bytes.map_or_else(unknown, size);
    let hosts = match &tenant.hosts {
        None if tenant.name == TenantId::DEFAULT => "everything".to_owned(),
        None => "the public internet".to_owned(),
        Some(hosts) => listed(hosts),
    };
    let secrets = match &tenant.secrets[..] {
        [] if tenant.name == TenantId::DEFAULT => "all".to_owned(),
        secrets => listed(secrets),
    };
    [
        ("tenant", tenant.name.clone()),
        (
            "memory",
            of(size(usage.memory_bytes), limits.memory_bytes.map(size)),
        ),
        ("requests", of(usage.requests, limits.concurrency)),
        (
            "rate",
            limits.rate.map_or_else(none, |rate| format!("{rate}/s")),
        ),
        ("storage", of(storage, limits.storage_bytes.map(size))),
        ("hosts", hosts),
        ("secrets", secrets),
    ]
    .map(|(name, value)| format!("{name:<10}{value}\n"))
    .concat()
}

fn of(used: impl ToString, limit: Option<impl ToString>) -> String {
    let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    format!("{} of {limit}", used.to_string())
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

fn none() -> String {
    "no limit".to_owned()
}

fn unknown() -> String {
    "?".to_owned()
}

fn listed(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        words => words.join(", "),
    }
}
