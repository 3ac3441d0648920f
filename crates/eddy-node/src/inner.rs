//! What all parts of a node share, and the step: take a shard, let the core decide, carry out what
//! it says. No two shards are ever held at once.

use crate::access::Access;
use crate::catalog::Catalog;
use crate::clock;
use crate::durability::Applier;
use crate::live::LiveAgents;
use crate::logs::LogHub;
use crate::recent::Recent;
use crate::reply::Reply;
use crate::runners::Runners;
use crate::sealed::Sealer;
use crate::shares::Shares;
use crate::simulate;
use crate::stats::Stats;
use crate::tasks::Tasks;
use crate::{functions, runs};
use eddy_core::{Action, ShardCore};
use eddy_journal::{Journal, Urgency};
use eddy_store::{ShardStore, Store};
use eddy_types::limits::RELAXED_FLUSH_WITHIN;
use eddy_types::{EddyError, Seq, ShardId, ShardMap, Timestamp};
use eddy_wasm::Engine;
use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// A shard on this node.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) view: ShardStore,
    state: Mutex<ShardState>,
}

/// What is held exclusively during a step.
pub(crate) struct ShardState {
    pub(crate) core: ShardCore<Reply>,
    pub(crate) live: LiveAgents,
}

impl Shard {
    pub(crate) fn new(id: ShardId, view: ShardStore, core: ShardCore<Reply>) -> Self {
        let state = ShardState {
            core,
            live: LiveAgents::default(),
        };
        Self {
            id,
            view,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ShardState> {
        self.state.lock()
    }
}

/// The node behind [`crate::Node`].
pub(crate) struct Inner {
    pub(crate) config: crate::NodeConfig,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) flushes: Box<dyn Fn() -> u64 + Send + Sync>,
    pub(crate) map: ShardMap,
    pub(crate) shards: Vec<Shard>,
    pub(crate) access: Access,
    pub(crate) sealer: Sealer,
    pub(crate) catalog: Catalog,
    /// For agents that are exported or imported.
    pub(crate) documents: Semaphore,
    pub(crate) applier: Applier,
    pub(crate) recent: Recent,
    pub(crate) logs: LogHub,
    pub(crate) stats: Stats,
    pub(crate) tasks: Tasks,
    pub(crate) runners: Runners,
    pub(crate) shares: Shares,
    /// How many spare instances there are.
    pub(crate) spares: Arc<AtomicUsize>,
    /// Used instances that wait to be dropped.
    pub(crate) retired: Arc<AtomicUsize>,
    /// Guests that run now; the epoch is ticked only while there are some.
    pub(crate) busy: AtomicUsize,
    /// Ends the grace: running guests are aborted.
    pub(crate) abort: CancellationToken,
    /// No new work from outside.
    pub(crate) closing: CancellationToken,
    /// Why the node had to stop.
    pub(crate) fatal: watch::Sender<Option<EddyError>>,
    /// What the shards wanted done when they were opened.
    pub(crate) resumed: Mutex<Vec<(ShardId, Action<Reply>)>>,
}

type Todo = VecDeque<(ShardId, Action<Reply>)>;

/// What a step gathers. Kept from step to step: a turn takes a handful of them.
#[derive(Default)]
struct Scratch {
    out: Vec<Action<Reply>>,
    todo: Todo,
}

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

impl Scratch {
    /// Entries above which the memory is given back.
    const KEEP: usize = 64;

    /// This thread's own; a step within a step gets a new one.
    fn take() -> Self {
        SCRATCH.take().unwrap_or_default()
    }

    fn put_back(self) {
        if self.out.capacity() <= Self::KEEP && self.todo.capacity() <= Self::KEEP {
            SCRATCH.set(Some(self));
        }
    }
}

impl Inner {
    pub(crate) fn shard(&self, shard: ShardId) -> &Shard {
        &self.shards[usize::from(shard.0)]
    }

    /// Lets the core of a shard do something and carries out what it answers.
    pub(crate) fn step<T>(
        self: &Arc<Self>,
        shard: ShardId,
        decide: impl FnOnce(&mut ShardState, Timestamp, &ShardStore, &mut Vec<Action<Reply>>) -> T,
    ) -> T {
        let _budget = runs::budget();
        let mut scratch = Scratch::take();
        let answer = self.locked(shard, &mut scratch, decide);
        while let Some((shard, action)) = scratch.todo.pop_front() {
            self.perform(shard, action, &mut scratch);
        }
        scratch.put_back();
        answer
    }

    /// Carries out what shards answered when they were opened.
    pub(crate) fn carry_out(self: &Arc<Self>, actions: Vec<(ShardId, Action<Reply>)>) {
        let _budget = runs::budget();
        let mut scratch = Scratch {
            todo: Todo::from(actions),
            out: Vec::new(),
        };
        while let Some((shard, action)) = scratch.todo.pop_front() {
            self.perform(shard, action, &mut scratch);
        }
    }

    fn locked<T>(
        self: &Arc<Self>,
        shard: ShardId,
        scratch: &mut Scratch,
        decide: impl FnOnce(&mut ShardState, Timestamp, &ShardStore, &mut Vec<Action<Reply>>) -> T,
    ) -> T {
        let shard = self.shard(shard);
        let Scratch { out, todo } = scratch;
        let mut failure = None;
        let mut dropped = Vec::new();
        let now = clock::now();
        let mut state = shard.lock();
        let answer = decide(&mut state, now, &shard.view, out);
        // Records reach the journal and the store in the order of their decisions, and no turn can
        // start on an instance that is to be dropped: so these happen before anybody else comes in.
        for action in out.drain(..) {
            match action {
                Action::Append {
                    seq,
                    record,
                    relaxed,
                } => {
                    let urgency = match relaxed {
                        true => Urgency::Within(RELAXED_FLUSH_WITHIN),
                        false => runs::urgency(),
                    };
                    self.stats.record(record.len());
                    let appended = self.journal.append(shard.id, seq, record, urgency);
                    failure = failure.or(appended.err());
                }
                Action::Apply { seq, record } => self.applier.push(shard.id, seq, record),
                Action::DropInstance(agent) => dropped.extend(state.live.remove(&agent)),
                other => todo.push_back((shard.id, other)),
            }
        }
        drop(state);
        self.stats.passivated(dropped.len());
        if let Some(error) = failure {
            self.fail(error.into());
        }
        answer
    }

    fn perform(self: &Arc<Self>, from: ShardId, action: Action<Reply>, scratch: &mut Scratch) {
        simulate::note();
        match action {
            Action::Run(start) => runs::run(self, start),
            Action::RunFunction(start) => functions::spawn_durable(self, start),
            Action::Reply { to, outcome } => to.answer(outcome),
            Action::Ended { id, outcome } => match outcome {
                Some(outcome) => self.recent.ended(id, clock::now(), outcome),
                None => self.recent.again(id),
            },
            Action::StartEffect { to, id } => to.begin(id),
            Action::Message { shard, message } => {
                self.locked(shard, scratch, |state, now, view, out| {
                    state.core.deliver(*message, now, view, out);
                });
            }
            Action::Deliver(delivery) => {
                self.locked(delivery.dest, scratch, |state, now, view, out| {
                    state.core.deliver_send(*delivery, now, view, out);
                })
            }
            Action::Settle {
                source,
                dest,
                seq,
                result,
            } => {
                self.locked(source, scratch, |state, now, _, out| {
                    state.core.delivery_ended(dest, seq, result, now, out);
                });
            }
            Action::Probe { shard, probe } => {
                self.locked(shard, scratch, |state, _, _, out| {
                    state.core.probe(probe, out)
                });
            }
            Action::AbortCall { shard, agent, call } => {
                self.locked(shard, scratch, |state, _, _, out| {
                    state.core.abort_call(&agent, call, out)
                });
            }
            Action::Append { .. } | Action::Apply { .. } | Action::DropInstance(_) => {
                debug_assert!(
                    false,
                    "shard {} left {action:?} to be carried out late",
                    from.0
                );
            }
        }
    }

    /// Everything through `seq` of a shard is durable.
    pub(crate) fn durable(self: &Arc<Self>, shard: ShardId, seq: Seq) {
        self.step(shard, |state, now, _, out| {
            state.core.durable(seq, now, out)
        });
    }

    /// The node cannot go on: whoever waits is told, nothing more is promised.
    pub(crate) fn fail(self: &Arc<Self>, error: EddyError) {
        let first = self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert_with(|| error.clone());
            first
        });
        if !first {
            return;
        }
        tracing::error!(code = %error.code, "the node stops: {}", error.detail);
        self.closing.cancel();
        for shard in self.map.shards() {
            self.step(shard, |state, now, _, out| {
                state.core.append_failed(&error, now, out)
            });
        }
        self.abort.cancel();
    }

    /// The reason why the node does not serve, if it does not.
    pub(crate) fn not_serving(&self) -> Option<EddyError> {
        if let Some(error) = &*self.fatal.borrow() {
            return Some(error.clone());
        }
        self.closing.is_cancelled().then(|| {
            EddyError::new(eddy_types::ErrorCode::ShuttingDown, "the node is stopping")
                .retry_after(std::time::Duration::from_secs(1))
        })
    }

    /// Counts a guest as running until the guard goes.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

/// A guest runs while this lives.
pub(crate) struct Busy(Arc<Inner>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
