//! A turn on this node: an instance is found or made, the handler runs under its deadline, and the
//! core hears how it ended.

use crate::catalog::{App, Loaded};
use crate::clock;
use crate::host::{AgentHost, TurnShared};
use crate::inner::Inner;
use crate::recent::Ran;
use crate::spares;
use bytes::Bytes;
use eddy_core::{TurnEnd, TurnPolicy, TurnStart};
use eddy_types::{AgentSpec, EddyError, ErrorCode, MethodSpec, TimeoutSpec, Timestamp};
use eddy_wasm::{CancelReason, CancelToken, Fault, Instance, InstanceLimits, Target, TurnOutcome};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// What a turn came to, before the core hears of it.
struct Attempt {
    end: TurnEnd,
    policy: TurnPolicy,
    /// The instance, when it may serve again.
    kept: Option<(Instance, Arc<App>)>,
}

pub(crate) fn spawn(inner: &Arc<Inner>, start: TurnStart) {
    let inner2 = inner.clone();
    inner.tasks.spawn(async move {
        let turn = start.turn;
        let agent = start.agent.clone();
        let attempt = AssertUnwindSafe(run(&inner2, start)).catch_unwind().await;
        let attempt = attempt.unwrap_or_else(|_| Attempt {
            end: TurnEnd::Failed(EddyError::internal("a turn broke the node's own code")),
            policy: TurnPolicy::default(),
            kept: None,
        });
        let Attempt { end, policy, kept } = attempt;
        inner2.step(turn.shard, |state, now, view, out| {
            if let Some((instance, app)) = kept {
                state.live.put(agent, instance, app);
            }
            state.core.turn_ended(turn, end, policy, now, view, out);
        });
    });
}

async fn run(inner: &Arc<Inner>, start: TurnStart) -> Attempt {
    let failed = |error| Attempt {
        end: TurnEnd::Failed(error),
        policy: TurnPolicy::default(),
        kept: None,
    };
    let app = match inner
        .catalog
        .agent_type(start.agent.tenant(), start.agent.agent_type())
    {
        Ok(app) => app,
        Err(error) => return failed(error),
    };
    let Some((spec, loaded)) = app.agent(start.agent.agent_type()) else {
        return failed(EddyError::internal("an agent type lost its component"));
    };
    let Some(method) = spec.methods.get(&start.method).copied() else {
        return failed(unknown_method(&start));
    };
    if start.read_only && !method.read_only {
        return failed(no_query_any_more(&start));
    }
    run_method(inner, &app, spec, loaded, method, start).await
}

async fn run_method(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    spec: &AgentSpec,
    loaded: &Arc<Loaded>,
    method: MethodSpec,
    start: TurnStart,
) -> Attempt {
    let began = clock::now();
    let watch = clock::instant();
    let policy = TurnPolicy {
        durability: spec.durability,
        retries: spec.retries,
        read_only: method.read_only,
    };
    let deadline = earliest(limit_of(spec.timeout, began), start.deadline);
    let cancel = CancelToken::new();
    let shared = Arc::new(TurnShared::default());
    inner.recent.started(&start, began);
    let target = Target::Method(start.agent.clone(), start.method.clone());
    let argument = start.argument.clone();
    let (shard, agent, id) = (start.turn.shard, start.agent.clone(), start.id);
    let host = AgentHost::new(inner, app, start, began, deadline, policy, shared.clone());
    let grace_over = async {
        app.replaced.cancelled().await;
        tokio::time::sleep(inner.config.redeploy_grace).await;
    };
    let ran = guarded(inner, deadline, grace_over, &cancel, async {
        let warm = take_warm(inner, shard, &agent, app);
        let cold = warm.is_none();
        let mut instance = match warm {
            Some(instance) => instance,
            None => {
                inner.stats.activated();
                instantiate(inner, app, loaded, spec.memory, &cancel).await?
            }
        };
        let outcome = instance
            .handle(&target, argument, Box::new(host), &cancel)
            .await;
        let memory = instance.memory_bytes();
        Ok((outcome.map(|outcome| (outcome, instance)), cold, memory))
    })
    .await;
    let effects = shared.take_effects();
    let (end, kept, cold, memory) = match ran {
        Ok((Ok((outcome, instance)), cold, memory)) => {
            let outcome = checked(outcome).map_err(|error| loaded.remap(error));
            (
                TurnEnd::Returned(outcome, effects),
                Some((instance, app.clone())),
                cold,
                memory,
            )
        }
        Ok((Err(fault), cold, memory)) => {
            (TurnEnd::Failed(told(fault, loaded)), None, cold, memory)
        }
        Err(fault) => (TurnEnd::Failed(told(fault, loaded)), None, true, 0),
    };
    let run = watch.elapsed();
    inner.stats.turn(&end, run);
    let ran = Ran {
        cold,
        run,
        memory,
        logs: shared.take_logs(),
    };
    inner.recent.ran(id, ran);
    Attempt { end, policy, kept }
}

fn take_warm(
    inner: &Inner,
    shard: eddy_types::ShardId,
    agent: &eddy_types::AgentId,
    app: &Arc<App>,
) -> Option<Instance> {
    let live = inner.shard(shard).lock().live.take(agent)?;
    // An instance of an older deploy makes room for one of the new.
    Arc::ptr_eq(&live.app, app).then_some(live.instance)
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
    let limits = InstanceLimits {
        memory,
        env: Some(app.env.clone()),
    };
    let program = loaded.program.as_ref();
    let make = || loaded.code.instantiate(&limits, program, cancel);
    let mut made = make().await;
    if no_room(&made) && inner.drop_spares() {
        made = make().await;
    }
    if no_room(&made) && inner.make_room() {
        made = make().await;
    }
    made
}

fn no_room(made: &Result<Instance, Fault>) -> bool {
    matches!(made, Err(Fault::NoRoom { .. }))
}

/// Runs guest work under its deadline and the node's abort; `abort` may stop it, too.
pub(crate) async fn guarded<T>(
    inner: &Arc<Inner>,
    deadline: Option<Timestamp>,
    abort: impl Future<Output = ()>,
    cancel: &CancelToken,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let _busy = inner.busy();
    let mut work = std::pin::pin!(work);
    let expire = async {
        match deadline {
            Some(at) => tokio::time::sleep_until(clock::deadline(at)).await,
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

fn unknown_method(start: &TurnStart) -> EddyError {
    EddyError::new(
        ErrorCode::UnknownMethod,
        format!(
            "the agent type {:?} has no method {:?}",
            start.agent.agent_type(),
            start.method
        ),
    )
    .hint("`eddy ls` shows the methods of each agent type.")
}
