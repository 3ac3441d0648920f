//! Benchmarks of a real node, beside raw floors and peers that are measured in the same run: in each
//! round every floor, Eddy and every peer in turn, each alone on the machine.
//!
//! `cargo xtask bench [SUITE...] [--peers] [--rounds N] [--seconds N] [--json] [--record]`
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the real clock, threads and tasks"
)]

mod args;
mod bench;
mod floors;
mod helper;
mod http;
mod link;
mod load;
mod node;
mod peers;
mod process;
mod report;
mod rows;
mod suites;

use anyhow::{Result, bail};
use args::Plan;
use bench::Bench;
use peers::Peers;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let done = match args.next_if(|arg| arg == helper::FLAG) {
        Some(_) => helper::serve(args),
        None => benchmark(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn benchmark(args: impl Iterator<Item = String>) -> Result<()> {
    let plan = Plan::parse(args)?;
    node::binary()?;
    let peers = match plan.peers {
        true => Peers::install()?,
        false => Peers::none(),
    };
    run(plan, peers)
}

/// Runs until it is done or told to stop: either way every process that it started has ended, and
/// every folder is gone, when this returns.
#[tokio::main]
async fn run(plan: Plan, peers: Peers) -> Result<()> {
    let mut bench = Bench::new(plan, peers);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = measure(&mut bench) => {}
        _ = terminate.recv() => bail!("told to stop"),
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
    match bench.plan.json {
        true => report::table::print_json(&bench.rows, &bench.plan),
        false => report::table::print(&bench.rows, &bench.plan),
    }
    if bench.plan.record {
        report::record::write(&bench)?;
    }
    match bench.failures.first() {
        None => Ok(()),
        Some(first) => bail!("{} suites ended early: {first}", bench.failures.len()),
    }
}

/// What fails is remembered, so that hours of figures are not lost with it.
async fn measure(bench: &mut Bench) {
    let suites = bench.plan.suites.clone();
    for round in 1..=bench.plan.rounds {
        bench.round = round;
        for suite in suites.iter().copied() {
            // What runs once waits for the last round.
            if suite.once() && round < bench.plan.rounds {
                continue;
            }
            eprintln!("round {round} of {}: {}", bench.plan.rounds, suite.name());
            if let Err(error) = suites::run(bench, suite).await {
                eprintln!("  {} ends early: {error:#}", suite.name());
                let failure = format!("{}, round {round}: {error:#}", suite.name());
                bench.failures.push(failure);
            }
        }
    }
}
