//! `eddy invoke` and `eddy call`.

use crate::args::{CallArgs, CallArguments, InvokeArgs};
use crate::exit::Failed;
use crate::input;
use crate::output::Output;
use eddy_api::{Answer, CallOptions, Client, json_or_text};
use serde::Serialize;
use serde_json::value::RawValue;

/// A result, as `--json` prints it.
#[derive(Serialize)]
struct Document {
    invocation: Option<String>,
    result: Box<RawValue>,
}

pub(crate) async fn invoke(url: &str, args: InvokeArgs, output: &Output) -> Result<(), Failed> {
    let argument = input::argument(args.argument.as_deref())?;
    let client = Client::new(url)?;
    let options = options(args.options, false);
    if args.r#async {
        let invocation = client
            .invoke_async(&args.function, argument, &options)
            .await?;
        output.data(&invocation, || invocation.id.clone())?;
        output.say(format_args!(
            "accepted; `eddy invocation {}` shows it",
            invocation.id
        ));
        return Ok(());
    }
    let answer = client.invoke(&args.function, argument, &options).await?;
    show(&answer, output)
}

pub(crate) async fn call(url: &str, args: CallArgs, output: &Output) -> Result<(), Failed> {
    let (agent_type, key) = input::address(&args.agent)?;
    let argument = input::argument(args.argument.as_deref())?;
    let options = options(args.options, args.snapshot);
    let answer = Client::new(url)?
        .call(agent_type, key, &args.method, argument, &options)
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
