//! The run: everything there is, one step after another.

use crate::cast::Cast;
use crate::clients::{Client, ClientOp};
use crate::dice::Dice;
use crate::disk::Disk;
use crate::log::Log;
use crate::node::{Node, ReplyTo, Waiter};
use crate::schedule::Pace;
use crate::{Mutation, Options, Report, Violation};
use eddy_types::Timestamp;
use std::collections::BTreeMap;

/// The end of a run that must not be: what did not hold.
pub(crate) type Broken = String;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) log: Log,
    pub(crate) step: u32,
    pub(crate) now: Timestamp,
    pub(crate) cast: Cast,
    pub(crate) disk: Disk,
    pub(crate) node: Node,
    /// Earlier incarnations that were paused, not killed, with the steps until they wake.
    pub(crate) zombies: Vec<(u32, Node)>,
    pub(crate) clients: Vec<Client>,
    pub(crate) ops: Vec<ClientOp>,
    pub(crate) pace: Pace,
    pub(crate) counters: BTreeMap<&'static str, u64>,
    pub(crate) mutation: Option<Mutation>,
    /// Nothing new begins and nothing fails any more.
    pub(crate) settling: bool,
    next_reply: ReplyTo,
    next_tag: u64,
    pub(crate) next_run: u64,
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut dice = Dice::new(seed);
        let shards = dice.between(2, 4) as u16;
        let clients = dice.between(3, 5) as usize;
        let pace = Pace::draw(&mut dice);
        Self {
            dice,
            log: Log::default(),
            step: 0,
            now: Timestamp(1_700_000_000_000),
            cast: Cast::new(shards),
            disk: Disk::new(shards),
            node: Node::new(0, usize::from(shards)),
            zombies: Vec::new(),
            clients: (0..clients).map(|_| Client::default()).collect(),
            ops: Vec::new(),
            pace,
            counters: BTreeMap::new(),
            mutation: options.mutation,
            settling: false,
            next_reply: 0,
            next_tag: 0,
            next_run: 0,
        }
    }

    pub(crate) fn play(&mut self, steps: u32) -> Result<(), Broken> {
        self.start_node()?;
        while self.step < steps {
            self.step += 1;
            self.random_step()?;
        }
        self.settle()?;
        self.check_end()
    }

    pub(crate) fn report(self) -> Report {
        Report {
            log_hash: self.log.hash(),
            log: self.log.into_bytes(),
            counters: self.counters,
        }
    }

    pub(crate) fn violation(self, seed: u64, what: Broken) -> Violation {
        Violation {
            seed,
            step: self.step,
            what,
            tail: self.log.tail(80),
            log: self.log.into_bytes(),
        }
    }

    pub(crate) fn say(&mut self, what: std::fmt::Arguments<'_>) {
        self.log.line(self.step, what);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
    }

    pub(crate) fn counted(&self, what: &'static str) -> u64 {
        self.counters.get(what).copied().unwrap_or_default()
    }

    /// A tag that no effect has had.
    pub(crate) fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    /// Registers somebody who waits for one reply of the present node.
    pub(crate) fn expect_reply(&mut self, waiter: Waiter) -> ReplyTo {
        self.next_reply += 1;
        self.node.waiting.insert(self.next_reply, waiter);
        self.next_reply
    }
}
