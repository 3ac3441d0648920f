//! The `eddy` binary: the whole program on one screen. Commands have a module each; what they
//! print is `output`'s, how they end is `exit`'s.

mod args;
mod bundling;
mod cache;
mod caller;
mod certificate;
mod commands;
mod dev;
mod doctor;
mod examples;
mod exit;
mod indent;
mod input;
mod local;
mod memory;
mod output;
mod progress;
mod python;
mod remote;
mod signals;

use args::{AgentCommand, Cli, Command};
use commands::{
    agents, apps, calls, dead_letters, deploy, invocations, logs, portable, shell, tenants, test,
    tokens, up,
};
use exit::Failed;
use output::Output;
use remote::Remote;
use std::process::ExitCode;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    memory::give_back_soon();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        // Help and versions are no errors: they stay text.
        Err(error) if error.use_stderr() && args::asks_for_json() => {
            return ended(Err(Failed::usage(&error)), &Output::new(true));
        }
        Err(error) => error.exit(),
    };
    let output = Output::new(cli.json);
    let runtime = match cli.command {
        Command::Up(_) | Command::Dev(_) | Command::Test(_) => {
            Builder::new_multi_thread().enable_all().build()
        }
        _ => Builder::new_current_thread().enable_all().build(),
    };
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli, &output));
            // A second signal means now, whatever still runs.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failed::no_runtime(&error)),
    };
    ended(result, &output)
}

fn ended(result: Result<(), Failed>, output: &Output) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            if let Some(error) = &failed.error {
                output.error(error);
            }
            ExitCode::from(failed.exit)
        }
    }
}

async fn run(cli: Cli, output: &Output) -> Result<(), Failed> {
    let remote = || Remote::new(&cli.target);
    match cli.command {
        Command::Up(args) => up::run(args, output).await,
        Command::Test(args) => test::run(&args, output).await,
        Command::New(args) => commands::new::run(&args, output),
        Command::Dev(args) => commands::dev::run(args, output).await,
        Command::Deploy(args) => deploy::run(&remote()?, &args, output).await,
        Command::Invoke(args) => calls::invoke(&remote()?, args, output).await,
        Command::Call(args) => calls::call(&remote()?, args, output).await,
        Command::Delete { app } => apps::delete(&remote()?, &app, output).await,
        Command::Ls => apps::list(&remote()?, output).await,
        Command::Agents(args) => agents::list(&remote()?, &args, output).await,
        Command::Agent { command } => agent(&remote()?, command, output).await,
        Command::Invocations(args) => invocations::run(&remote()?, &args, output).await,
        Command::Token { command } => tokens::run(&remote()?, command, output).await,
        Command::Tenant { command } => tenants::run(&remote()?, command, output).await,
        Command::Doctor(args) => commands::doctor::run(remote(), &args, output).await,
        Command::Completions { shell } => shell::completions(shell, output),
        Command::Man { out } => shell::man(out.as_deref(), output),
        Command::Logs(args) => logs::run(&remote()?, &args, output).await,
        Command::DeadLetters { command, limit } => {
            dead_letters::run(&remote()?, command, limit, output).await
        }
    }
}

async fn agent(remote: &Remote, command: AgentCommand, output: &Output) -> Result<(), Failed> {
    match command {
        AgentCommand::Show { address } => agents::show(remote, &address, output).await,
        AgentCommand::Export { address, file } => {
            portable::export(remote, &address, &file, output).await
        }
        AgentCommand::Import {
            address,
            file,
            replace,
            keyed,
        } => portable::import(remote, &address, &file, replace, keyed, output).await,
        AgentCommand::Delete { address, keyed } => {
            agents::delete(remote, &address, keyed, output).await
        }
    }
}
