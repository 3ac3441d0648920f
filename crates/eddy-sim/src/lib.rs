//! Deterministic simulation of one node. The shards are the production state machines (mailboxes,
//! gates, overlay, outbox, inbox, timers, functions, deadlock probes); guests, clients, the clock,
//! the journal's disk and the store's disk are simulated. Every decision is drawn from a seed, so
//! a seed that fails once fails each time.
//!
//! | file | what |
//! |---|---|
//! | `dice.rs`, `log.rs` | chance from the seed; the log of what happened |
//! | `cast.rs` | the agents and the language their methods are written in |
//! | `disk.rs` | what survives a crash, and what is known to be durable |
//! | `node.rs` | one incarnation of the node: all that a crash loses |
//! | `world.rs`, `schedule.rs`, `settle.rs` | the run: steps, which one comes next, the quiet end |
//! | `carry.rs` | carries out what the shards ask for, and checks that it may leave |
//! | `guest.rs`, `state.rs`, `ended.rs` | runs guests; their own state; how they end |
//! | `faults.rs` | crashes, take-overs, failed flushes, restarts |
//! | `clients.rs`, `plan.rs`, `answers.rs` | clients; what they ask for; what they hear |
//! | `check.rs`, `history.rs` | what must hold at the end |

mod answers;
mod carry;
mod cast;
mod check;
mod clients;
mod dice;
mod disk;
mod ended;
mod faults;
mod guest;
mod history;
mod log;
mod node;
mod plan;
mod schedule;
mod settle;
mod state;
mod world;

pub use eddy_core::Mutation;
use std::collections::BTreeMap;
use std::fmt;

/// Every rule that can be broken on purpose.
pub const MUTATIONS: &[Mutation] = &[
    Mutation::ReplyBeforeCommit,
    Mutation::DedupeForgotten,
    Mutation::InstanceKeptAfterDiscard,
    Mutation::OutboxNotReplayed,
    Mutation::FailedFlushIgnored,
    Mutation::FenceSkipped,
    Mutation::EffectBeforeGate,
    Mutation::SendBeforeCommit,
];

/// How to run a seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A rule of the core to break on purpose.
    pub mutation: Option<Mutation>,
    /// Steps with clients and faults, before everything may settle.
    pub steps: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mutation: None,
            steps: 600,
        }
    }
}

/// A run in which everything held.
#[derive(Clone, Debug)]
pub struct Report {
    /// Hash of the log.
    pub log_hash: u64,
    /// What happened, a line each.
    pub log: Vec<u8>,
    /// How often things happened: crashes, deadlocks, timers, and so on.
    pub counters: BTreeMap<&'static str, u64>,
}

/// Something that must hold and did not.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed; the same seed and options lead here again.
    pub seed: u64,
    /// The step at which it was noticed.
    pub step: u32,
    /// What did not hold.
    pub what: String,
    /// The last lines of the log.
    pub tail: String,
    /// All of it.
    pub log: Vec<u8>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            step,
            what,
            tail,
            log: _,
        } = self;
        write!(
            f,
            "{tail}\nseed {seed}, step {step}: {what}\nagain with: cargo run -p eddy-sim -- {seed}"
        )
    }
}

/// Runs one seed to its end.
///
/// # Errors
/// The first violation.
pub fn run(seed: u64, options: &Options) -> Result<Report, Box<Violation>> {
    let mut world = world::World::new(seed, options);
    match world.play(options.steps) {
        Ok(()) => Ok(world.report()),
        Err(what) => Err(Box::new(world.violation(seed, what))),
    }
}
