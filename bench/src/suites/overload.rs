//! Four times as much as the node can do, offered without waiting for answers. Once in a run. The
//! client shares the processors with the node, so the turns that are held to targets compute for about
//! five milliseconds: beside those the client is small. The same with turns that only add one is shown as
//! well; there most of the machine is busy with offering and refusing.

use crate::bench::Bench;
use crate::link::{self, Bare, Calls, Link, Outcome, Target};
use crate::load::{self, Times};
use crate::node::Node;
use crate::rows::{Figures, Metric, Side};
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much more than the peak is offered.
const TIMES: f64 = 4.0;
/// Agents that take the load.
const AGENTS: usize = 100;
/// Every call has it; nobody waits longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);
/// Connections over which the flood comes: together more requests than a node takes at once.
const CONNECTIONS: usize = 32;

/// What is offered.
struct Kind {
    rows: Ids,
    what: &'static str,
    agent: &'static str,
    method: &'static str,
    /// Callers that find out what the peak is: enough that more would only wait.
    callers: usize,
    /// How long the flood lasts, in times of a row.
    long: u32,
}

/// The names of its rows.
struct Ids {
    peak: &'static str,
    accepted: &'static str,
    refused: &'static str,
    failed: &'static str,
    memory: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        rows: Ids {
            peak: "overload.peak",
            accepted: "overload.accepted",
            refused: "overload.refused",
            failed: "overload.failed",
            memory: "overload.memory",
        },
        what: "durable turn that computes for 5 ms, TypeScript",
        agent: "tsCounter",
        method: "work",
        callers: 128,
        // A minute by default.
        long: 30,
    },
    Kind {
        rows: Ids {
            peak: "flood.peak",
            accepted: "flood.accepted",
            refused: "flood.refused",
            failed: "flood.failed",
            memory: "flood.memory",
        },
        what: "durable increment, Rust",
        agent: "counter",
        method: "increment",
        callers: 2 * link::PER_CONNECTION,
        long: 5,
    },
];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    for kind in &KINDS {
        one_kind(bench, kind).await?;
    }
    Ok(())
}

async fn one_kind(bench: &mut Bench, kind: &Kind) -> Result<()> {
    let node = Node::start("1h")?;
    let at = node.address();
    let rows = &kind.rows;
    let title = format!(
        "{}, {AGENTS} agents, link: peak, c{}",
        kind.what, kind.callers
    );
    let work = peak(at, kind, bench.plan.time);
    if !bench.row(Side::Eddy, rows.peak, &title, work).await {
        return Ok(());
    }
    let peak = bench.rows.find(rows.peak);
    let peak = peak
        .and_then(|row| row.median(Metric::Rate))
        .unwrap_or_default();
    let mut seen = Seen::new()?;
    let time = bench.plan.time * kind.long;
    let work = async {
        seen = flood(&node, kind, peak * TIMES, time).await?;
        Ok(seen.accepted.figures(time))
    };
    let title = format!("{TIMES} times the peak of it offered: accepted");
    if bench.row(Side::Eddy, rows.accepted, &title, work).await {
        say(bench, kind, &seen, time).await;
    }
    Ok(())
}

/// The other rows that one flood gives.
async fn say(bench: &mut Bench, kind: &Kind, seen: &Seen, time: Duration) {
    let rows = &kind.rows;
    let refused = seen.refused.figures(time);
    let title = "the same: refused (429 or 503)";
    bench
        .row(Side::Eddy, rows.refused, title, async { Ok(refused) })
        .await;
    let offered = seen.offered();
    let share = |count: u64| Ok(Figures::number(count as f64 / offered.max(1) as f64));
    let title = "the same: share neither accepted nor refused";
    let work = async { share(seen.failed) };
    bench.row(Side::Eddy, rows.failed, title, work).await;
    let title = "the same: memory at the end / after the first quarter";
    let work = async { Ok(Figures::number(seen.growth())) };
    bench.row(Side::Eddy, rows.memory, title, work).await;
    let note = format!(
        "offered {:.0}/s; {} more were due but found no free caller",
        offered as f64 / time.as_secs_f64(),
        seen.unsent
    );
    bench.note(rows.accepted, note);
}

fn target(kind: &Kind, n: usize) -> Target {
    Target::new(kind.agent, format!("o{}", n % AGENTS), kind.method)
}

async fn peak(at: SocketAddr, kind: &Kind, time: Duration) -> Result<Figures> {
    let links = tokio::sync::Mutex::new(Vec::<Link>::new());
    load::run(kind.callers, time, |n| {
        let links = &links;
        async move {
            let mut links = links.lock().await;
            if n % link::PER_CONNECTION == 0 {
                links.push(Link::connect(at).await?);
            }
            let link = &links[n / link::PER_CONNECTION];
            Ok(Calls::new(link, target(kind, n), Bytes::from_static(b"{}")))
        }
    })
    .await
}

/// What became of the calls.
struct Seen {
    accepted: Times,
    refused: Times,
    failed: u64,
    unsent: u64,
    memory: Vec<u64>,
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            accepted: Times::new()?,
            refused: Times::new()?,
            failed: 0,
            unsent: 0,
            memory: Vec::new(),
        })
    }

    fn offered(&self) -> u64 {
        self.accepted.len() + self.refused.len() + self.failed
    }

    fn growth(&self) -> f64 {
        let quarter = self.memory.get(self.memory.len() / 4);
        match (quarter, self.memory.last()) {
            (Some(early), Some(late)) => *late as f64 / *early as f64,
            _ => f64::NAN,
        }
    }

    fn add(&mut self, outcome: Outcome, took: Duration) -> Result<()> {
        match outcome {
            Outcome::Done => self.accepted.record(took),
            Outcome::Refused => self.refused.record(took),
            Outcome::Failed => {
                self.failed += 1;
                Ok(())
            }
        }
    }
}

/// Offers so many calls a second for `time`, whatever becomes of them.
async fn flood(node: &Node, kind: &Kind, rate: f64, time: Duration) -> Result<Seen> {
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let link = Bare::connect(node.address()).await?;
        idle.extend(std::iter::repeat_n(link, link::PER_CONNECTION));
    }
    let idle = Arc::new(parking_lot::Mutex::new(idle));
    let seen = Arc::new(parking_lot::Mutex::new(Seen::new()?));
    let began = Instant::now();
    let (mut due, mut sampled) = (0usize, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while began.elapsed() < time {
        tick.tick().await;
        let until = (began.elapsed().as_secs_f64() * rate) as usize;
        for n in due..until {
            match idle.lock().pop() {
                Some(caller) => drop(tokio::spawn(one(
                    caller,
                    target(kind, n),
                    idle.clone(),
                    seen.clone(),
                ))),
                None => seen.lock().unsent += 1,
            }
        }
        due = until;
        if began.elapsed().as_secs() >= sampled {
            sampled += 1;
            seen.lock().memory.push(node.resident()?);
        }
    }
    // What is under way ends by its deadline; it is not counted.
    let ended = std::mem::replace(&mut *seen.lock(), Seen::new()?);
    tokio::time::sleep(DEADLINE).await;
    Ok(ended)
}

type Shared<T> = Arc<parking_lot::Mutex<T>>;

async fn one(caller: Bare, target: Target, idle: Shared<Vec<Bare>>, seen: Shared<Seen>) {
    let began = Instant::now();
    let argument = Bytes::from_static(b"{}");
    let outcome = caller.attempt(&target, argument, DEADLINE).await;
    let took = began.elapsed();
    // A time that does not fit the histogram does not exist.
    let _ = seen.lock().add(outcome, took);
    idle.lock().push(caller);
}
