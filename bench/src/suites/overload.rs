//! Four times as much as the node can do, offered without waiting for answers. Once in a run.

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
/// Callers that find out what the peak is: enough that more would only wait.
const CALLERS: usize = 2 * link::PER_CONNECTION;
/// Connections over which the flood comes: together more requests than a node takes at once.
const CONNECTIONS: usize = 32;
/// How long it lasts, in times of a row: a minute by default.
const LONG: u32 = 30;

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let node = Node::start("1h")?;
    let at = node.address();
    let title = format!("durable increment, {AGENTS} agents, link: peak, c{CALLERS}");
    let work = peak(at, bench.plan.time);
    if !bench.row(Side::Eddy, "overload.peak", &title, work).await {
        return Ok(());
    }
    let peak = bench.rows.find("overload.peak");
    let peak = peak
        .and_then(|row| row.median(Metric::Rate))
        .unwrap_or_default();
    let mut seen = Seen::new()?;
    let time = bench.plan.time * LONG;
    let work = async {
        seen = flood(&node, peak * TIMES, time).await?;
        Ok(seen.accepted.figures(time))
    };
    let title = format!("{TIMES} times the peak offered: accepted");
    if bench
        .row(Side::Eddy, "overload.accepted", &title, work)
        .await
    {
        say(bench, &seen, time).await;
    }
    Ok(())
}

/// The other rows that one flood gives.
async fn say(bench: &mut Bench, seen: &Seen, time: Duration) {
    let refused = seen.refused.figures(time);
    let title = "the same: refused (429 or 503)";
    bench
        .row(Side::Eddy, "overload.refused", title, async { Ok(refused) })
        .await;
    let offered = seen.offered();
    let share = |count: u64| Ok(Figures::number(count as f64 / offered.max(1) as f64));
    let title = "the same: share neither accepted nor refused";
    let work = async { share(seen.failed) };
    bench.row(Side::Eddy, "overload.failed", title, work).await;
    let title = "the same: memory at the end / after the first quarter";
    let work = async { Ok(Figures::number(seen.growth())) };
    bench.row(Side::Eddy, "overload.memory", title, work).await;
    let note = format!(
        "offered {:.0}/s; {} more were due but found no free caller",
        offered as f64 / time.as_secs_f64(),
        seen.unsent
    );
    bench.note("overload.accepted", note);
}

fn target(n: usize) -> Target {
    Target::new("counter", format!("o{}", n % AGENTS), "increment")
}

async fn peak(at: SocketAddr, time: Duration) -> Result<Figures> {
    let links = tokio::sync::Mutex::new(Vec::<Link>::new());
    load::run(CALLERS, time, |n| {
        let links = &links;
        async move {
            let mut links = links.lock().await;
            if n % link::PER_CONNECTION == 0 {
                links.push(Link::connect(at).await?);
            }
            let link = &links[n / link::PER_CONNECTION];
            Ok(Calls::new(link, target(n), Bytes::from_static(b"null")))
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
async fn flood(node: &Node, rate: f64, time: Duration) -> Result<Seen> {
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
                Some(caller) => drop(tokio::spawn(one(caller, n, idle.clone(), seen.clone()))),
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

async fn one(caller: Bare, n: usize, idle: Shared<Vec<Bare>>, seen: Shared<Seen>) {
    let began = Instant::now();
    let argument = Bytes::from_static(b"null");
    let outcome = caller.attempt(&target(n), argument, DEADLINE).await;
    let took = began.elapsed();
    // A time that does not fit the histogram does not exist.
    let _ = seen.lock().add(outcome, took);
    idle.lock().push(caller);
}
