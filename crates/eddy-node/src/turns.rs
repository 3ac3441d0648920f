//! A turn on this node: an instance is found or made, the handler runs under its deadline, and the
//! core hears how it ended. On which thread it runs is decided in `runs.rs`.

use crate::catalog::{App, Loaded, unknown_method};
use crate::clock;
use crate::host::{AgentHost, TurnShared, who};
use crate::inner::Inner;
use crate::load::Running;
use crate::recent::{Ran, TurnRecord};
use crate::runs;
use crate::simulate::UnderWay;
use crate::spares;
use bytes::Bytes;
use eddy_core::{MessageId, TurnEnd, TurnId, TurnPolicy, TurnStart};
use eddy_types::{AgentId, EddyError, ErrorCode, MethodName, TenantId, TimeoutSpec, Timestamp};
use eddy_wasm::{CancelReason, CancelToken, Fault, Instance, Target, TurnOutcome};
use futures::FutureExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// A turn under way.
struct Turn {
    id: TurnId,
    invocation: MessageId,
    agent: AgentId,
    method: MethodName,
    queued: Timestamp,
    began: Timestamp,
    watch: Instant,
    deadline: Option<Timestamp>,
    policy: TurnPolicy,
    app: Arc<App>,
    loaded: Arc<Loaded>,
    shared: Arc<TurnShared>,
    cancel: CancelToken,
    _running: Option<Running>,
}

/// How the guest's part of a turn ended.
struct Worked {
    /// The instance, when it may serve again.
    ended: Result<(TurnOutcome, Instance), Fault>,
    cold: bool,
    memory: usize,
}

type Work = Pin<Box<dyn Future<Output = Worked> + Send>>;

/// Runs a turn on this thread. One that waits, or computes for longer than a tick, goes on as a task.
pub(crate) fn run(inner: &Arc<Inner>, start: TurnStart) {
    let (id, agent) = (start.turn, start.agent.clone());
    let prepared = match prepare(inner, start) {
        Ok(prepared) => prepared,
        Err(error) => {
            let end = TurnEnd::Failed(error);
            return over(inner, id, agent, None, end, TurnPolicy::default());
        }
    };
    let (turn, mut work) = prepared;
    let busy = inner.busy();
    let _noted = UnderWay::begin();
    match panic::catch_unwind(AssertUnwindSafe(|| runs::first_slice(work.as_mut()))) {
        Ok(Poll::Ready(worked)) => turn.ended(inner, worked),
        Ok(Poll::Pending) => {
            let node = inner.clone();
            inner.recent.started(turn.record());
            inner.tasks.spawn(async move {
                let _busy = busy;
                turn.go_on(&node, work).await;
            });
        }
        Err(_) => turn.broke(inner),
    }
}

fn prepare(inner: &Arc<Inner>, start: TurnStart) -> Result<(Turn, Work), EddyError> {
    let app = inner
        .catalog
        .agent_type(start.agent.tenant(), start.agent.agent_type())?;
    let Some((spec, loaded)) = app.agent(start.agent.agent_type()) else {
        return Err(EddyError::internal("an agent type lost its component"));
    };
    let Some(method) = spec.methods.get(&start.method).copied() else {
        return Err(unknown_method(start.agent.agent_type(), &start.method));
    };
    if start.read_only && !method.read_only {
        return Err(no_query_any_more(&start));
    }
    let began = clock::now();
    let mut turn = Turn {
        id: start.turn,
        invocation: start.id,
        agent: start.agent.clone(),
        method: start.method.clone(),
        queued: start.chain.root_at.min(began),
        began,
        watch: clock::instant(),
        deadline: earliest(limit_of(spec.timeout, began), start.deadline),
        policy: TurnPolicy {
            durability: spec.durability,
            retries: spec.retries,
            read_only: method.read_only,
        },
        loaded: loaded.clone(),
        shared: Arc::default(),
        cancel: CancelToken::new(),
        _running: app.agent_load(start.agent.agent_type()).map(Running::begin),
        app: app.clone(),
    };
    let memory = spec.memory;
    let warm = take_warm(inner, turn.id.shard, &turn.agent, &turn.app);
    let warm = warm.map(|(name, instance)| {
        turn.agent = name;
        instance
    });
    let work = turn.work(inner, memory, warm, start);
    Ok((turn, work))
}

impl Turn {
    fn work(
        &self,
        inner: &Arc<Inner>,
        memory: usize,
        warm: Option<Instance>,
        mut start: TurnStart,
    ) -> Work {
        let target = Target::Method(start.agent.clone(), start.method.clone());
        let argument = std::mem::take(&mut start.argument);
        let host = AgentHost::new(
            inner,
            &self.app,
            start,
            self.began,
            self.deadline,
            self.policy,
            self.shared.clone(),
        );
        let cancel = self.cancel.clone();
        let Some(mut instance) = warm else {
            inner.stats.activated();
            let (inner, app, loaded) = (inner.clone(), self.app.clone(), self.loaded.clone());
            return Box::pin(async move {
                let made = instantiate(&inner, &app, &loaded, memory, &cancel).await;
                match made {
                    Ok(mut instance) => {
                        let handled = instance.handle(&target, argument, Box::new(host), &cancel);
                        let handled = handled.await;
                        Worked::new(handled, instance, true)
                    }
                    Err(fault) => Worked {
                        ended: Err(fault),
                        cold: true,
                        memory: 0,
                    },
                }
            });
        };
        Box::pin(async move {
            let handled = instance.handle(&target, argument, Box::new(host), &cancel);
            let handled = handled.await;
            Worked::new(handled, instance, false)
        })
    }

    /// The rest of a turn that did not end at once: under its deadline, the node's abort and the
    /// grace of a redeploy.
    async fn go_on(self, inner: &Arc<Inner>, work: Work) {
        let grace_over = async {
            self.app.replaced.cancelled().await;
            tokio::time::sleep(inner.config.redeploy_grace).await;
        };
        let work = async { Ok(work.await) };
        let tenant = self.agent.tenant().clone();
        let expires = self.expires();
        let worked = guarded_until(inner, &tenant, expires, grace_over, &self.cancel, work);
        match AssertUnwindSafe(worked).catch_unwind().await {
            Ok(Ok(worked)) => self.ended(inner, worked),
            Ok(Err(fault)) => self.ended(inner, Worked::failed(fault)),
            Err(_) => self.broke(inner),
        }
    }

    fn ended(self, inner: &Arc<Inner>, worked: Worked) {
        let effects = self.shared.take_effects();
        let (end, kept) = match worked.ended {
            Ok((outcome, instance)) => {
                let outcome = checked(outcome).map_err(|error| self.loaded.remap(error));
                let kept = Some((instance, self.app.clone()));
                (TurnEnd::Returned(outcome, effects), kept)
            }
            Err(fault) => {
                make_room_after(inner, &self.app, &fault);
                (TurnEnd::Failed(told(fault, &self.loaded)), None)
            }
        };
        let run = self.watch.elapsed();
        inner.stats.turn(&end, run);
        let ran = Ran {
            cold: worked.cold,
            run,
            memory: worked.memory,
            logs: self.shared.end_log(inner, end.error(), || {
                who(&self.app, &self.agent, &self.method, self.invocation)
            }),
        };
        inner.recent.turn_ran(self.record(), ran);
        over(inner, self.id, self.agent, kept, end, self.policy);
    }

    /// Its deadline as a moment of real time, by the clock as it was when the turn began: simulated time may have
    /// been put forward while its first slice waited.
    fn expires(&self) -> Option<tokio::time::Instant> {
        let deadline = self.deadline?;
        Some((self.watch + deadline.since(self.began)).into())
    }

    fn broke(self, inner: &Arc<Inner>) {
        let end = TurnEnd::Failed(EddyError::internal("a turn broke the node's own code"));
        over(inner, self.id, self.agent, None, end, self.policy);
    }

    fn record(&self) -> TurnRecord {
        TurnRecord {
            id: self.invocation,
            agent: self.agent.clone(),
            method: self.method.clone(),
            queued: self.queued,
            began: self.began,
            query: self.policy.read_only,
        }
    }
}

impl Worked {
    fn new(handled: Result<TurnOutcome, Fault>, instance: Instance, cold: bool) -> Self {
        Self {
            memory: instance.memory_bytes(),
            ended: handled.map(|outcome| (outcome, instance)),
            cold,
        }
    }

    fn failed(fault: Fault) -> Self {
        Self {
            ended: Err(fault),
            cold: false,
            memory: 0,
        }
    }
}

/// Tells the shard that a turn is over; its instance is there for the next one.
fn over(
    inner: &Arc<Inner>,
    turn: TurnId,
    agent: AgentId,
    kept: Option<(Instance, Arc<App>)>,
    end: TurnEnd,
    policy: TurnPolicy,
) {
    inner.step(turn.shard, |state, now, view, out| {
        if let Some((instance, app)) = kept {
            state.live.put(agent, instance, app);
        }
        state.core.turn_ended(turn, end, policy, now, view, out);
    });
}

fn take_warm(
    inner: &Inner,
    shard: eddy_types::ShardId,
    agent: &eddy_types::AgentId,
    app: &Arc<App>,
) -> Option<(AgentId, Instance)> {
    let (name, live) = inner.shard(shard).lock().live.take_named(agent)?;
    // An instance of an older deploy makes room for one of the new.
    Arc::ptr_eq(&live.app, app).then_some((name, live.instance))
}

/// A fresh instance: a spare, or one made now. Spares and idle agents make room when there is none.
pub(crate) async fn instantiate(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    loaded: &Arc<Loaded>,
    memory: usize,
    cancel: &CancelToken,
) -> Result<Instance, Fault> {
    if let Some(spare) = spares::take(inner, app, loaded, memory) {
        return Ok(spare);
    }
    inner.check_share(&app.account)?;
    let limits = app.instance_limits(memory);
    let program = loaded.program.as_ref();
    let make = || loaded.code.instantiate(&limits, program, cancel);
    let mut made = make().await;
    if matches!(made, Err(Fault::SharedMemoryLimit { .. })) && inner.make_room_of(&app.account) {
        made = make().await;
    }
    if no_room(&made) && inner.drop_spares() {
        made = make().await;
    }
    if no_room(&made) && inner.make_room() {
        made = make().await;
    }
    made
}

/// A guest could not grow because its tenant's others have the memory: the next attempt is to find some.
pub(crate) fn make_room_after(inner: &Inner, app: &App, fault: &Fault) {
    if matches!(fault, Fault::SharedMemoryLimit { .. }) {
        inner.make_room_of(&app.account);
    }
}

fn no_room(made: &Result<Instance, Fault>) -> bool {
    matches!(made, Err(Fault::NoRoom { .. }))
}

/// Runs guest work in its tenant's share, under its deadline and the node's abort; `abort` may stop it,
/// too.
pub(crate) async fn guarded<T>(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    deadline: Option<Timestamp>,
    abort: impl Future<Output = ()>,
    cancel: &CancelToken,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let expires = deadline.map(clock::deadline);
    guarded_until(inner, tenant, expires, abort, cancel, work).await
}

async fn guarded_until<T>(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    expires: Option<tokio::time::Instant>,
    abort: impl Future<Output = ()>,
    cancel: &CancelToken,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let _busy = inner.busy();
    let work = std::pin::pin!(work);
    let mut work = inner.shares.run(tenant, work);
    let expire = async {
        match expires {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = &mut work => return ended,
        () = expire => cancel.cancel(CancelReason::Timeout),
        () = inner.abort.cancelled() => cancel.cancel(CancelReason::Abort),
        () = abort => cancel.cancel(CancelReason::Abort),
    }
    // The guest sees the flag at its next tick, or at once when it waits.
    work.await
}

/// A turn's time limit as a moment.
pub(crate) fn limit_of(timeout: TimeoutSpec, began: Timestamp) -> Option<Timestamp> {
    match timeout {
        TimeoutSpec::After(limit) => Some(began.plus(limit)),
        TimeoutSpec::None => None,
    }
}

pub(crate) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A result that is not too large to pass on.
pub(crate) fn checked(outcome: TurnOutcome) -> Result<Bytes, EddyError> {
    const LIMIT: usize = eddy_types::limits::MAX_PAYLOAD_BYTES;
    let result = outcome.map_err(bounded)?;
    if result.len() > LIMIT {
        return Err(EddyError::new(
            ErrorCode::PayloadTooLarge,
            format!(
                "the result has {} bytes; the limit is {LIMIT}",
                result.len()
            ),
        )
        .hint("Return a page, or keep large data outside and return a reference."));
    }
    Ok(result)
}

/// A guest's error, cut to what a reply and a record may hold.
fn bounded(mut error: EddyError) -> EddyError {
    const TEXT: usize = 16 << 10;
    const DETAILS: usize = 64 << 10;
    let cut = |text: &mut String| text.truncate(text.floor_char_boundary(TEXT));
    cut(&mut error.detail);
    if let Some(guest) = error.guest.as_deref_mut() {
        cut(&mut guest.name);
        guest.stack.iter_mut().for_each(cut);
        let long = |details: &mut String| details.len() > DETAILS;
        if let Some(details) = guest.details.take_if(long) {
            error.detail += &format!(" ({} bytes of details were left out)", details.len());
        }
    }
    error
}

pub(crate) fn told(fault: Fault, loaded: &Loaded) -> EddyError {
    loaded.remap(fault.into())
}

/// Its caller took it for a query, so nothing was prepared for a repeat of what it would write.
fn no_query_any_more(start: &TurnStart) -> EddyError {
    let detail = format!(
        "{} of {} was a query when the message came, and a redeploy has made it an ordinary method",
        start.method, start.agent
    );
    EddyError::new(ErrorCode::TurnAborted, detail)
        .hint("Try again.")
        .retry_after(std::time::Duration::from_millis(50))
}
