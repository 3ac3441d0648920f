//! One shard: the agents that live in it, their mailboxes and turns, and everything they commit.
//! Every step takes `now` and a view of the store and answers with actions; the caller holds the
//! shard exclusively during a step and carries the actions out afterwards, in order.
//!
//! | file | steps |
//! |---|---|
//! | `action.rs` | what a step answers with |
//! | `deliver.rs` | messages come in: cycles, limits, mailboxes |
//! | `keys.rs` | duplicates of keyed requests are answered or joined |
//! | `turn.rs` | turns start and end |
//! | `effect.rs` | a running turn starts immediate effects |
//! | `delete.rs` | an agent is deleted |
//! | `commit.rs` | records are appended, become durable, are applied |
//! | `stage.rs` | the parts of a turn's record |
//! | `sends.rs` | sends leave, are settled, are tried again |
//! | `letters.rs` | deliveries that are given up, and what people do about them |
//! | `functions.rs`, `function_end.rs` | invocations of functions that are durable or that send |
//! | `deadlock.rs` | probes along blocked calls |
//! | `tick.rs` | time passes: timers, pauses, deadlines, housekeeping |
//! | `stop.rs` | drain and stop |

mod action;
mod commit;
mod deadlock;
mod delete;
mod deliver;
mod effect;
mod function_end;
mod functions;
mod keys;
mod letters;
mod sends;
mod stage;
mod stop;
mod tick;
mod turn;

pub(crate) use action::EffectStart;
pub use action::{Action, Mutation};
pub use deadlock::Probe;
pub use functions::{FunctionEnd, FunctionRequest, FunctionStart, PlainSends};
pub use turn::{TurnEnd, TurnPolicy, TurnStart};

use crate::dedupe::Joins;
use crate::effects::Effects;
use crate::gates::{Gated, Gates};
use crate::inbox::Inbox;
use crate::message::{Message, MessageId, TurnId};
use crate::message_ids::MessageIds;
use crate::outbox::Outbox;
use crate::overlay::Overlay;
use crate::reads::TurnReads;
use crate::record::{DeadLetterId, Outcome, Value};
use crate::share::Held;
use crate::timers::Timers;
use crate::view::StoreView;
use crate::volatile::Volatile;
use eddy_types::{AgentId, Durability, EddyError, HashMap, Seq, ShardId, ShardMap, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    ids: MessageIds,
    cells: HashMap<AgentId, Cell<R>>,
    turns: HashMap<u64, AgentId>,
    next_turn: u64,
    next_number: u64,
    /// Messages in mailboxes, by tenant.
    waiting: Held,
    deadlines: BTreeSet<(Timestamp, u64, AgentId)>,
    overlay: Overlay,
    joins: Joins<R>,
    gates: Gates<R>,
    inbox: Inbox,
    outbox: Outbox,
    timers: Timers,
    functions: functions::Functions<R>,
    volatile: Volatile,
    housekeeping: Option<Timestamp>,
    /// Dead letters settled in a record that the store does not show yet.
    redriven: BTreeMap<DeadLetterId, Seq>,
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
            ids: view.message_ids()?,
            cells: HashMap::default(),
            turns: HashMap::default(),
            next_turn: 0,
            next_number: 0,
            waiting: Held::default(),
            deadlines: BTreeSet::new(),
            overlay: Overlay::default(),
            joins: Joins::default(),
            gates: Gates::default(),
            inbox: Inbox::load(view.inbox()?),
            outbox: Outbox::load(shard, view.outbox_last()?, sends),
            timers: Timers::default(),
            functions: functions::Functions::default(),
            volatile: Volatile::default(),
            housekeeping: None,
            redriven: BTreeMap::new(),
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
        self.waiting.total().entries
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
        self.last_seq().0 - self.durable.0
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

    /// What a running turn of an agent reads.
    #[must_use]
    pub fn reads<'a>(
        &'a self,
        agent: &'a AgentId,
        durability: Durability,
        effects: &'a Effects,
    ) -> TurnReads<'a> {
        static NOTHING: BTreeMap<String, Value> = BTreeMap::new();
        let volatile = || self.volatile.of(agent).unwrap_or(&NOTHING);
        TurnReads {
            agent,
            effects,
            overlay: &self.overlay,
            volatile: (durability == Durability::None).then(volatile),
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

    /// The newest record, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq(self.next.0 - 1)
    }

    /// Lets the end of an invocation be known once everything up to `until` is durable.
    fn ended_after(
        &mut self,
        until: Seq,
        id: MessageId,
        outcome: Outcome,
        out: &mut Vec<Action<R>>,
    ) {
        if until <= self.durable {
            let outcome = Some(outcome);
            out.push(Action::Ended { id, outcome });
        } else {
            self.gates.hold(until, Gated::Ended(id, outcome));
        }
    }

    /// Replies once everything up to `until` is durable.
    fn reply_after(&mut self, until: Seq, to: R, outcome: Outcome, out: &mut Vec<Action<R>>) {
        if until <= self.durable || self.mutated(Mutation::ReplyBeforeCommit) {
            out.push(Action::Reply { to, outcome });
        } else {
            self.gates.hold(until, Gated::Reply(to, outcome));
        }
    }
}
