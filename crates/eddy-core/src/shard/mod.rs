//! One shard: the agents that live in it, their mailboxes and turns, and everything they commit.
//! Every step takes `now` and a view of the store and answers with actions; the caller holds the
//! shard exclusively during a step and carries the actions out afterwards, in order.
//!
//! | file | steps |
//! |---|---|
//! | `deliver.rs` | messages come in: duplicates, cycles, limits, mailboxes |
//! | `turn.rs` | turns start, start immediate effects, and end |
//! | `commit.rs` | records are built, appended, become durable, are applied |
//! | `letters.rs` | deliveries that are given up, and what people do about them |
//! | `functions.rs` | invocations of functions that are durable or that send |
//! | `deadlock.rs` | probes along blocked calls |
//! | `tick.rs` | time passes: timers, pauses, deadlines, housekeeping |

mod commit;
mod deadlock;
mod deliver;
mod functions;
mod letters;
mod tick;
mod turn;

pub use deadlock::Probe;
pub use functions::{FunctionEnd, FunctionRequest, FunctionStart, PlainSends};
pub use turn::{TurnEnd, TurnPolicy, TurnStart};

use crate::dedupe::Joins;
use crate::effects::{Effects, TurnReads};
use crate::gates::Gates;
use crate::inbox::Inbox;
use crate::message::{Message, MessageId, TurnId};
use crate::outbox::{Delivery, DeliveryResult, Outbox};
use crate::overlay::Overlay;
use crate::record::{Outcome, Record, Value};
use crate::timers::Timers;
use crate::view::StoreView;
use bytes::Bytes;
use eddy_types::{AgentId, Durability, EddyError, ErrorCode, Seq, ShardId, ShardMap, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Something for the node to do. Actions of one step are carried out in order.
#[derive(Debug)]
pub enum Action<R> {
    /// Run a turn on the agent's instance; `turn_ended` afterwards.
    Run(TurnStart),
    /// Run a function on a fresh instance; `function_ended` afterwards.
    RunFunction(FunctionStart),
    /// Drop the agent's instance: what it remembers in globals is not true any more.
    DropInstance(AgentId),
    /// Append a record to the journal; `durable` afterwards.
    Append {
        /// The sequence it must get.
        seq: Seq,
        /// The record.
        record: Bytes,
        /// Nobody waits for its flush: it may wait a while for company.
        relaxed: bool,
    },
    /// Apply a durable record to the store; `applied` afterwards. In order, without gaps.
    Apply {
        /// Its sequence.
        seq: Seq,
        /// The record.
        record: Arc<Record>,
    },
    /// Answer whoever waits.
    Reply {
        /// Where.
        to: R,
        /// With what.
        outcome: Outcome,
    },
    /// Start an immediate effect that is not a call to an agent: nothing holds it back any more.
    StartEffect {
        /// Who waits for it.
        to: R,
        /// Its id.
        id: MessageId,
    },
    /// Give a message to the shard of its target (`deliver`).
    Message {
        /// That shard.
        shard: ShardId,
        /// The message.
        message: Box<Message<R>>,
    },
    /// Give a send to the shard of its target (`deliver_send`).
    Deliver(Box<Delivery>),
    /// Tell the source shard how a delivery ended (`delivery_ended`).
    Settle {
        /// The source.
        source: ShardId,
        /// This shard.
        dest: ShardId,
        /// The send's number.
        seq: u64,
        /// How it ended.
        result: DeliveryResult,
    },
    /// Pass a deadlock probe on (`probe`).
    Probe {
        /// The shard it goes to.
        shard: ShardId,
        /// The probe.
        probe: Probe,
    },
    /// Give up a call that waits in a deadlock (`abort_call`).
    AbortCall {
        /// The shard in which it waits.
        shard: ShardId,
        /// The agent for which it waits.
        agent: AgentId,
        /// The call.
        call: MessageId,
    },
}

/// An immediate effect that waits for its gate.
#[derive(Debug)]
pub(crate) enum EffectStart<R> {
    Call(ShardId, Box<Message<R>>),
    Other(R, MessageId),
}

/// A rule that the simulator can break on purpose, to show that it would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "mutations"),
    allow(dead_code, reason = "only the simulator breaks rules")
)]
pub enum Mutation {
    /// Replies leave when the turn ends.
    ReplyBeforeCommit,
    /// Answered keys and delivered sends are not remembered.
    DedupeForgotten,
    /// An instance outlives the turn whose writes were discarded.
    InstanceKeptAfterDiscard,
    /// Sends in the store are not taken up after a restart.
    OutboxNotReplayed,
    /// A failed flush counts as durable.
    FailedFlushIgnored,
    /// The epoch record of a take-over is not appended.
    FenceSkipped,
    /// Immediate effects do not wait for earlier turns.
    EffectBeforeGate,
    /// A send leaves before its record is durable.
    SendBeforeCommit,
}

/// Whether a shard takes work.
#[derive(Debug)]
enum Phase {
    Open,
    /// New requests are refused; what runs may end, and call others for it.
    Draining,
    /// Nothing is done any more.
    Stopped(EddyError),
}

#[derive(Debug)]
struct Queued<R> {
    number: u64,
    message: Message<R>,
}

#[derive(Debug)]
struct Running<R> {
    turn: TurnId,
    message: Message<R>,
    /// Earlier turns it saw: what it causes outside waits for them.
    gate: Seq,
    ordinal: u32,
    /// Calls it waits for.
    calls: Vec<(MessageId, AgentId)>,
}

/// What the shard keeps of an agent that is not idle.
#[derive(Debug)]
struct Cell<R> {
    queue: VecDeque<Queued<R>>,
    running: Option<Running<R>>,
    /// The last record that this agent's replies must wait for.
    last: Seq,
}

impl<R> Default for Cell<R> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            running: None,
            last: Seq(0),
        }
    }
}

/// The state machine of a shard. `R` is where a reply goes.
#[derive(Debug)]
pub struct ShardCore<R> {
    shard: ShardId,
    map: ShardMap,
    phase: Phase,
    next: Seq,
    durable: Seq,
    applied: Seq,
    cells: HashMap<AgentId, Cell<R>>,
    turns: HashMap<u64, AgentId>,
    next_turn: u64,
    next_number: u64,
    waiting: usize,
    deadlines: BTreeSet<(Timestamp, u64, AgentId)>,
    overlay: Overlay,
    joins: Joins<R>,
    gates: Gates<R>,
    inbox: Inbox,
    outbox: Outbox,
    timers: Timers,
    functions: functions::Functions<R>,
    volatile: HashMap<AgentId, BTreeMap<String, Value>>,
    volatile_bytes: usize,
    housekeeping: Option<Timestamp>,
    /// Dead letters settled since the start, which the store may still show.
    redriven: BTreeSet<crate::record::DeadLetterId>,
    /// Idle agents whose last record was not durable when they became so.
    lingering: VecDeque<(Seq, AgentId)>,
    mutation: Option<Mutation>,
}

impl<R> ShardCore<R> {
    /// Takes a shard up whose journal is applied to the store through `last`, its epoch record
    /// included. Timers, sends and durable invocations go on where they were.
    pub fn open<V: StoreView + ?Sized>(
        shard: ShardId,
        map: ShardMap,
        last: Seq,
        now: Timestamp,
        view: &V,
        out: &mut Vec<Action<R>>,
    ) -> Result<Self, EddyError> {
        Self::open_with(shard, map, last, now, view, None, out)
    }

    /// [`Self::open`] with one rule broken.
    #[cfg(feature = "mutations")]
    pub fn open_mutated<V: StoreView + ?Sized>(
        shard: ShardId,
        map: ShardMap,
        last: Seq,
        now: Timestamp,
        view: &V,
        mutation: Option<Mutation>,
        out: &mut Vec<Action<R>>,
    ) -> Result<Self, EddyError> {
        Self::open_with(shard, map, last, now, view, mutation, out)
    }

    fn open_with<V: StoreView + ?Sized>(
        shard: ShardId,
        map: ShardMap,
        last: Seq,
        now: Timestamp,
        view: &V,
        mutation: Option<Mutation>,
        out: &mut Vec<Action<R>>,
    ) -> Result<Self, EddyError> {
        let mut sends = view.outbox()?;
        if mutation == Some(Mutation::OutboxNotReplayed) {
            sends.clear();
        }
        let mut core = Self {
            shard,
            map,
            phase: Phase::Open,
            next: last.next(),
            durable: last,
            applied: last,
            cells: HashMap::new(),
            turns: HashMap::new(),
            next_turn: 0,
            next_number: 0,
            waiting: 0,
            deadlines: BTreeSet::new(),
            overlay: Overlay::default(),
            joins: Joins::default(),
            gates: Gates::default(),
            inbox: Inbox::load(view.inbox()?),
            outbox: Outbox::load(shard, view.outbox_last()?, sends),
            timers: Timers::default(),
            functions: functions::Functions::default(),
            volatile: HashMap::new(),
            volatile_bytes: 0,
            housekeeping: None,
            redriven: BTreeSet::new(),
            lingering: VecDeque::new(),
            mutation,
        };
        core.timers.refill(now, &core.overlay, view)?;
        core.resume_functions(view.unfinished_invocations()?, out);
        core.release_sends(now, out);
        Ok(core)
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Everything up to here is durable.
    #[must_use]
    pub fn durable_seq(&self) -> Seq {
        self.durable
    }

    /// Messages waiting in mailboxes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Turns and durable invocations that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.turns.len() + self.functions.running()
    }

    /// Sends not yet settled.
    #[must_use]
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// Records that are appended and not yet durable.
    #[must_use]
    pub fn uncommitted(&self) -> u64 {
        self.next.0 - 1 - self.durable.0
    }

    /// Whether nothing waits or runs for the agent, so that its instance may go.
    #[must_use]
    pub fn is_idle(&self, agent: &AgentId) -> bool {
        self.cells
            .get(agent)
            .is_none_or(|cell| cell.running.is_none() && cell.queue.is_empty())
    }

    /// Uncommitted earlier turns, for reads of a running turn.
    #[must_use]
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// One state key as a running turn of an agent sees it.
    pub fn read<V: StoreView + ?Sized>(
        &self,
        agent: &AgentId,
        durability: Durability,
        effects: &Effects,
        key: &str,
        view: &V,
    ) -> Result<Option<Value>, EddyError> {
        self.with_reads(agent, durability, effects, view, |reads| reads.get(key))
    }

    /// State entries as a running turn of an agent sees them: see [`TurnReads::range`].
    #[allow(clippy::too_many_arguments, reason = "a range of a turn's state")]
    pub fn read_range<V: StoreView + ?Sized>(
        &self,
        agent: &AgentId,
        durability: Durability,
        effects: &Effects,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        view: &V,
    ) -> Result<Vec<(String, Value)>, EddyError> {
        self.with_reads(agent, durability, effects, view, |reads| {
            reads.range(prefix, after, limit)
        })
    }

    fn with_reads<V: StoreView + ?Sized, T>(
        &self,
        agent: &AgentId,
        durability: Durability,
        effects: &Effects,
        view: &V,
        read: impl FnOnce(&TurnReads<'_, V>) -> T,
    ) -> T {
        let nothing = BTreeMap::new();
        let volatile =
            (durability == Durability::None).then(|| self.volatile.get(agent).unwrap_or(&nothing));
        read(&TurnReads {
            agent,
            effects,
            overlay: &self.overlay,
            volatile,
            view,
        })
    }

    /// Refuses new requests from now on; what runs may end.
    pub fn drain(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Draining;
        }
    }

    /// Gives everything up: an append failed or was fenced. Whoever waits gets `error`; what of it
    /// is durable shows when the journal is read again.
    pub fn stop(&mut self, error: &EddyError, out: &mut Vec<Action<R>>) {
        if matches!(self.phase, Phase::Stopped(_)) {
            return;
        }
        self.phase = Phase::Stopped(error.clone());
        let mut waiting: Vec<R> = self.joins.drain();
        for gated in self.gates.drain() {
            match gated {
                crate::gates::Gated::Reply(to, _) => waiting.push(to),
                crate::gates::Gated::Effect(_, EffectStart::Other(to, _)) => waiting.push(to),
                crate::gates::Gated::Effect(_, EffectStart::Call(_, message)) => {
                    waiting.extend(reply_of(*message));
                }
                crate::gates::Gated::Settle(..) | crate::gates::Gated::Function(_) => {}
            }
        }
        let mut cells: Vec<_> = self.cells.drain().collect();
        cells.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (agent, cell) in cells {
            out.push(Action::DropInstance(agent));
            let running = cell.running.map(|running| running.message);
            let queued = cell.queue.into_iter().map(|queued| queued.message);
            waiting.extend(running.into_iter().chain(queued).filter_map(reply_of));
        }
        waiting.extend(self.functions.drain());
        self.turns.clear();
        self.waiting = 0;
        self.deadlines.clear();
        out.extend(waiting.into_iter().map(|to| Action::Reply {
            to,
            outcome: Err(error.clone()),
        }));
    }

    fn stopped(&self) -> Option<&EddyError> {
        match &self.phase {
            Phase::Stopped(error) => Some(error),
            _ => None,
        }
    }

    fn mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn drop_cell_if_idle(&mut self, agent: &AgentId) {
        let Some(cell) = self.cells.get(agent) else {
            return;
        };
        if cell.running.is_some() || !cell.queue.is_empty() {
            return;
        }
        if cell.last <= self.durable {
            self.cells.remove(agent);
        } else {
            self.lingering.push_back((cell.last, agent.clone()));
        }
    }

    /// Forgets idle agents that waited for nothing but their last record.
    fn drop_quiet_cells(&mut self) {
        let durable = self.durable;
        while let Some((_, agent)) = self.lingering.pop_front_if(|(last, _)| *last <= durable) {
            self.drop_cell_if_idle(&agent);
        }
    }

    /// Replies once everything up to `until` is durable.
    fn reply_after(&mut self, until: Seq, to: R, outcome: Outcome, out: &mut Vec<Action<R>>) {
        if until <= self.durable || self.mutated(Mutation::ReplyBeforeCommit) {
            out.push(Action::Reply { to, outcome });
        } else {
            self.gates
                .hold(until, crate::gates::Gated::Reply(to, outcome));
        }
    }
}

fn reply_of<R>(message: Message<R>) -> Option<R> {
    match message.origin {
        crate::message::Origin::Request { reply, .. } => Some(reply),
        _ => None,
    }
}

fn shutting_down() -> EddyError {
    EddyError::new(
        ErrorCode::ShuttingDown,
        "the node is stopping and takes no new work",
    )
    .hint("Try again in a moment, or on another node.")
    .retry_after(std::time::Duration::from_secs(1))
}
