//! The command line of the benchmarks.

use anyhow::{Result, bail};
use std::time::Duration;

const USAGE: &str = "usage: cargo xtask bench [SUITE...] [--peers] [--rounds N] [--seconds N] \
[--agents N] [--json] [--record]; suites: message, durable, function, cold, languages, scale, overload, neighbours";

/// A group of rows that are measured side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suite {
    Message,
    Durable,
    Function,
    Cold,
    Languages,
    Scale,
    Overload,
    Neighbours,
}

impl Suite {
    pub(crate) const ALL: [Self; 8] = [
        Self::Message,
        Self::Durable,
        Self::Function,
        Self::Cold,
        Self::Languages,
        Self::Scale,
        Self::Overload,
        Self::Neighbours,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Durable => "durable",
            Self::Function => "function",
            Self::Cold => "cold",
            Self::Languages => "languages",
            Self::Scale => "scale",
            Self::Overload => "overload",
            Self::Neighbours => "neighbours",
        }
    }

    /// Whether it runs once, after the rounds: it takes long, or hardly varies.
    pub(crate) fn once(self) -> bool {
        matches!(self, Self::Scale | Self::Overload | Self::Neighbours)
    }
}

/// How much to measure, and what to do with it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) suites: Vec<Suite>,
    /// Whether the peers are installed and measured too.
    pub(crate) peers: bool,
    pub(crate) rounds: usize,
    /// Time that a row is measured in each round, after its warm-up.
    pub(crate) time: Duration,
    /// Agents of the scale suite.
    pub(crate) agents: usize,
    pub(crate) json: bool,
    /// Whether bench/RESULTS.md and the plots are written.
    pub(crate) record: bool,
}

impl Plan {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut plan = Self {
            suites: Vec::new(),
            peers: false,
            rounds: 3,
            time: Duration::from_secs(2),
            agents: 1_000_000,
            json: false,
            record: false,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--peers" => plan.peers = true,
                "--json" => plan.json = true,
                "--record" => plan.record = true,
                "--rounds" => plan.rounds = number(&mut args)?.clamp(1, 100),
                "--seconds" => {
                    plan.time = Duration::from_secs(number(&mut args)?.clamp(1, 60) as u64)
                }
                "--agents" => plan.agents = number(&mut args)?.clamp(100, 100_000_000),
                name => match Suite::ALL.into_iter().find(|suite| suite.name() == name) {
                    Some(suite) => plan.suites.push(suite),
                    None => bail!("unknown argument {name:?}\n{USAGE}"),
                },
            }
        }
        if plan.suites.is_empty() {
            plan.suites = Suite::ALL.to_vec();
        }
        plan.suites.sort_unstable();
        plan.suites.dedup();
        Ok(plan)
    }
}

fn number(args: &mut impl Iterator<Item = String>) -> Result<usize> {
    match args.next().map(|text| text.parse()) {
        Some(Ok(number)) => Ok(number),
        _ => bail!("a number is missing\n{USAGE}"),
    }
}
