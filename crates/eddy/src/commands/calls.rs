//! `eddy invoke` and `eddy call`.

use crate::args::{CallArgs, CallArguments, InvokeArgs};
use crate::caller::Caller;
use crate::exit::Failed;
use crate::input;
use crate::output::Output;
use crate::remote::Remote;
use bytes::Bytes;
use eddy_api::{Answer, CallOptions, json_or_text};
use eddy_types::EddyError;
use serde::Serialize;
use serde_json::value::RawValue;

/// A result, as `--json` prints it.
#[derive(Serialize)]
struct Document {
    invocation: Option<String>,
    result: Box<RawValue>,
}

pub(crate) async fn invoke(
    remote: &Remote,
    args: InvokeArgs,
    output: &Output,
) -> Result<(), Failed> {
    let argument = input::argument(args.argument.as_deref())?;
    let options = options(args.options, false);
    let function = &args.function;
    let caller = Caller::of(remote, &[function], &options).await?;
    if args.r#async {
        return submit(remote, &caller, (function, argument), &options, output).await;
    }
    let answer = caller.invoke(function, argument, &options).await?;
    show(&answer, output)
}

/// Programs get the record of the invocation, people its id.
async fn submit(
    remote: &Remote,
    caller: &Caller<'_>,
    (function, argument): (&str, Bytes),
    options: &CallOptions,
    output: &Output,
) -> Result<(), Failed> {
    let accepted = caller.submit(function, argument, options).await?;
    let id = accepted.id;
    let record = match accepted.record {
        None if output.is_json() => {
            let record = remote.http()?.invocation(&id).await;
            Some(record.map_err(|error| unread(&id, error))?)
        }
        record => record,
    };
    output.data(&record, || id.clone())?;
    output.say(format_args!("accepted; `eddy invocation {id}` shows it"));
    Ok(())
}

/// It was accepted all the same, so nobody should ask for it once more.
fn unread(id: &str, error: EddyError) -> EddyError {
    let detail = format!(
        "the invocation {id} was accepted, but not shown: {}",
        error.detail
    );
    let hint = format!("It runs all the same; `eddy invocation {id}` shows it.");
    EddyError { detail, ..error }.hint(hint)
}

pub(crate) async fn call(remote: &Remote, args: CallArgs, output: &Output) -> Result<(), Failed> {
    let (agent_type, key) = input::address(&args.agent)?;
    let argument = input::argument(args.argument.as_deref())?;
    let options = options(args.options, args.snapshot);
    let method = &args.method;
    let caller = Caller::of(remote, &[agent_type, key, method], &options).await?;
    let answer = caller
        .call((agent_type, key, method), argument, &options)
        .await?;
    show(&answer, output)
}

fn options(arguments: CallArguments, snapshot: bool) -> CallOptions {
    CallOptions {
        idempotency_key: arguments.keyed.idempotency_key,
        timeout: arguments.timeout,
        snapshot,
    }
}

fn show(answer: &Answer, output: &Output) -> Result<(), Failed> {
    let document = Document {
        invocation: answer.invocation.clone(),
        result: json_or_text(&answer.result),
    };
    output.data(&document, || document.result.get().to_owned())
}
