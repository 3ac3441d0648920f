//! Benchmarks of a real node, beside raw floors measured in the same run. Work is interleaved over
//! several rounds; the table shows medians and the ratio to the floor that bounds each row.
//!
//! `cargo xtask bench [first] [--rounds N] [--seconds N] [--json]`
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the real clock and tasks"
)]

mod cold;
mod floor;
mod http;
mod load;
mod node;
mod rates;
mod table;

use anyhow::{Result, bail};
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = parse(std::env::args().skip(1))?;
    let mut rows = table::Rows::default();
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        floor::measure(plan, &mut rows).await?;
        rates::measure(plan, &mut rows).await?;
        cold::measure(&mut rows).await?;
    }
    rows.print(plan);
    Ok(())
}

fn parse(args: impl Iterator<Item = String>) -> Result<Plan> {
    let mut plan = Plan {
        rounds: 3,
        time: Duration::from_secs(2),
        json: false,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "first" => {}
            "--json" => plan.json = true,
            "--rounds" => plan.rounds = number(&mut args)?.max(1),
            "--seconds" => plan.time = Duration::from_secs(number(&mut args)?.clamp(1, 60) as u64),
            other => {
                bail!("unknown argument {other:?}: use first, --rounds N, --seconds N, --json")
            }
        }
    }
    Ok(plan)
}

fn number(args: &mut impl Iterator<Item = String>) -> Result<usize> {
    match args.next().map(|text| text.parse()) {
        Some(Ok(number)) => Ok(number),
        _ => bail!("a number is missing"),
    }
}
