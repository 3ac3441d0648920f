//! Snapshot queries: a query on a fresh instance over committed state, beside the live instance.
//! It waits for nobody and sees no uncommitted turn.

use crate::catalog::App;
use crate::clock;
use crate::facade::{CallOptions, Reply as Answer};
use crate::host::{SnapshotHost, TurnShared, who};
use crate::inner::Inner;
use crate::requests::route;
use crate::turns::{checked, earliest, guarded, instantiate, limit_of, told};
use bytes::Bytes;
use eddy_types::limits::MAX_SNAPSHOT_QUERY;
use eddy_types::{AgentId, EddyError, ErrorCode, MethodName, TimeoutSpec, Timestamp};
use eddy_wasm::{CancelToken, Target};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// Runs a query over what is committed now.
pub(crate) async fn query(
    inner: &Arc<Inner>,
    agent: AgentId,
    method: MethodName,
    argument: Bytes,
    options: &CallOptions,
) -> Result<Answer, EddyError> {
    let spec = route(inner, &agent, &method, options.suggest)?.method;
    if !spec.read_only {
        return Err(EddyError::new(
            ErrorCode::InvalidArgument,
            format!("{method} is not a query, so it cannot run on a snapshot"),
        )
        .hint("Leave out `Eddy-Consistency: snapshot`, or make the method a query."));
    }
    let app: Arc<App> = inner
        .catalog
        .agent_type(agent.tenant(), agent.agent_type())?;
    let (spec, loaded) = app
        .agent(agent.agent_type())
        .ok_or_else(|| EddyError::internal("an agent type lost its component"))?;
    let began = clock::now();
    let deadline = until(spec.timeout, options.timeout, began);
    let cancel = CancelToken::new();
    let id = clock::fresh_id();
    let view = inner.store.snapshot(inner.map.shard_of_agent(&agent));
    let shared = Arc::new(TurnShared::default());
    let named = (agent.clone(), method.clone(), id);
    let host = SnapshotHost::new(inner, app.clone(), named, began, view, shared.clone());
    let target = Target::Method(agent.clone(), method.clone());
    let expires = Some(deadline);
    let ran = guarded(inner, agent.tenant(), expires, pending(), &cancel, async {
        let mut instance = instantiate(inner, &app, loaded, spec.memory, &cancel).await?;
        instance
            .handle(&target, argument, Box::new(host), &cancel)
            .await
    })
    .await;
    let outcome = match ran {
        Ok(outcome) => checked(outcome).map_err(|error| loaded.remap(error)),
        Err(fault) => Err(told(fault, loaded)),
    };
    shared.end_log(inner, outcome.as_ref().err(), || {
        who(&app, &agent, &method, id)
    });
    Ok(Answer {
        invocation: id,
        outcome,
    })
}

/// When a query has to end: as its type says and its client asks, but never so late that the store could not clean up
/// behind it, for whoever writes.
fn until(limit: TimeoutSpec, asked: Option<Duration>, began: Timestamp) -> Timestamp {
    let asked = asked.map(|timeout| began.plus(timeout));
    let most = began.plus(MAX_SNAPSHOT_QUERY);
    earliest(limit_of(limit, began), asked).map_or(most, |deadline| deadline.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_query_ends_whatever_its_type_says() {
        let began = Timestamp(1_000_000);
        let after = |limit, asked| until(limit, asked, began).since(began);
        let hour = Duration::from_secs(3600);
        assert_eq!(after(TimeoutSpec::None, None), MAX_SNAPSHOT_QUERY);
        assert_eq!(after(TimeoutSpec::None, Some(hour)), MAX_SNAPSHOT_QUERY);
        assert_eq!(after(TimeoutSpec::After(hour), None), MAX_SNAPSHOT_QUERY);
        let second = Duration::from_secs(1);
        assert_eq!(after(TimeoutSpec::After(second), Some(hour)), second);
        assert_eq!(after(TimeoutSpec::None, Some(second)), second);
    }
}
