//! One attempt at an invocation of a function, whatever it is invoked with: let in, given an instance and a deadline,
//! measured, and noted.

use crate::access::TenantPermit;
use crate::catalog::{App, Loaded};
use crate::clock;
use crate::effects::Caller;
use crate::functions::{Admission, shard_of};
use crate::host::{TurnShared, who_invokes};
use crate::inner::Inner;
use crate::load::Running;
use crate::recent::Ran;
use crate::reply::{Reply, lost};
use crate::turns::{self, earliest, guarded, instantiate, limit_of};
use eddy_core::{FunctionStart, Outcome, Outgoing, PlainSends};
use eddy_types::{EddyError, ErrorCode, FunctionSpec, Timestamp};
use eddy_wasm::{CancelToken, Fault, Instance};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::SemaphorePermit;

/// An attempt that has begun.
pub(crate) struct Attempt<'a> {
    inner: &'a Arc<Inner>,
    app: &'a Arc<App>,
    start: &'a FunctionStart,
    spec: &'a FunctionSpec,
    loaded: &'a Arc<Loaded>,
    watch: Instant,
    pub(crate) began: Timestamp,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) cancel: CancelToken,
    pub(crate) shared: Arc<TurnShared>,
}

/// The place of an attempt among those of its function, until dropped.
pub(crate) struct Place<'a> {
    _running: Running,
    _permit: SemaphorePermit<'a>,
}

/// Waits for a place, until the deadline.
pub(crate) async fn enter<'a>(
    admission: &'a Admission,
    start: &FunctionStart,
) -> Result<Place<'a>, EddyError> {
    let entering = admission.enter(&start.function);
    let permit = match start.deadline {
        None => entering.await?,
        Some(deadline) => tokio::time::timeout_at(clock::deadline(deadline), entering)
            .await
            .map_err(|_| none_free())??,
    };
    Ok(Place {
        _running: Running::begin(&admission.load),
        _permit: permit,
    })
}

fn none_free() -> EddyError {
    EddyError::new(
        ErrorCode::DeadlineExceeded,
        "no instance was free before the deadline",
    )
    .hint("Allow more time, or raise the function's `concurrency` in eddy.toml.")
}

impl<'a> Attempt<'a> {
    /// Begins one; its function must be one of this app.
    pub(crate) fn begin(
        inner: &'a Arc<Inner>,
        app: &'a Arc<App>,
        start: &'a FunctionStart,
    ) -> Result<Self, EddyError> {
        let (spec, loaded) = app
            .function(&start.function.name)
            .ok_or_else(|| EddyError::internal("a function lost its component"))?;
        let began = clock::now();
        inner.recent.running(start.id, began);
        Ok(Self {
            inner,
            app,
            start,
            spec,
            loaded,
            watch: clock::instant(),
            began,
            deadline: earliest(limit_of(spec.timeout, began), start.deadline),
            cancel: CancelToken::new(),
            shared: Arc::default(),
        })
    }

    /// Who the effects of this attempt come from.
    pub(crate) fn caller(&self, durable: bool) -> Arc<Caller> {
        let (inner, app, start) = (self.inner, self.app, self.start);
        Arc::new(Caller::of_function(
            inner,
            app,
            start,
            self.deadline,
            durable,
        ))
    }

    /// Runs `work` on a fresh instance, under the deadline; `abort` may stop it, too. On whatever version of the app it
    /// began, it ends.
    pub(crate) async fn run<T>(
        &self,
        abort: impl Future<Output = ()>,
        work: impl AsyncFnOnce(Instance) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (inner, app) = (self.inner, self.app);
        let tenant = &self.start.function.tenant;
        guarded(inner, tenant, self.deadline, abort, &self.cancel, async {
            let memory = self.spec.memory;
            let instance = instantiate(inner, app, self.loaded, memory, &self.cancel).await?;
            work(instance).await
        })
        .await
    }

    /// What a fault is told as. The next attempt is to find room, when that was it.
    pub(crate) fn told(&self, fault: Fault) -> EddyError {
        turns::make_room_after(self.inner, self.app, &fault);
        turns::told(fault, self.loaded)
    }

    /// An error of the guest, with the user's own lines.
    pub(crate) fn remap(&self, error: EddyError) -> EddyError {
        self.loaded.remap(error)
    }

    /// The attempt is over: it is counted, and its log ends. `memory` is the instance's at the end, in bytes.
    pub(crate) fn over(&self, outcome: &Outcome, fault: bool, memory: usize) {
        let (inner, start) = (self.inner, self.start);
        let run = self.watch.elapsed();
        inner.stats.function(outcome, fault, run);
        let logs = self.shared.end_log(inner, outcome.as_ref().err(), || {
            who_invokes(self.app, &start.function, start.id)
        });
        let measured = Ran {
            cold: true,
            run,
            memory,
            logs,
        };
        inner.recent.ran(start.id, measured);
    }
}

/// Commits the sends of a plain invocation, if there are some; then its outcome is one.
pub(crate) async fn commit(
    inner: &Arc<Inner>,
    start: &FunctionStart,
    sends: Vec<Outgoing>,
    outcome: Outcome,
) -> Outcome {
    if sends.is_empty() || outcome.is_err() {
        return outcome;
    }
    let (reply, receiver) = Reply::outcome();
    let plain = PlainSends {
        id: start.id,
        sends,
        outcome,
        reply,
    };
    let shard = shard_of(inner, &start.function, start.id);
    inner.step(shard, |state, now, _, out| {
        state.core.commit_sends(plain, now, out)
    });
    receiver.await.unwrap_or_else(|_| Err(lost()))
}

/// What lets a request in, for as long as its work lasts.
pub(crate) type Permit = Option<Arc<TenantPermit>>;
