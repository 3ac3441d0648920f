//! Records of recent invocations, in memory and bounded: the best-effort part of the history. The
//! durable part is in the store. Split into slots so that no lock is shared by all.

use crate::facade::{InvocationInfo, InvocationStatus, InvocationTarget, LogLine};
use eddy_core::{FunctionStart, MessageId, Outcome, TurnStart};
use eddy_types::limits::MAX_RECENT_INVOCATIONS;
use eddy_types::{TenantId, Timestamp};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const SLOTS: usize = 16;
/// Bytes of results and logs one slot keeps.
const SLOT_BYTES: usize = 2 << 20;
/// Results larger than this are not kept.
const KEPT_RESULT: usize = 16 << 10;

/// How an invocation ended.
pub(crate) struct Ended {
    pub(crate) at: Timestamp,
    pub(crate) cold: bool,
    pub(crate) run: Duration,
    pub(crate) memory: usize,
    pub(crate) outcome: Outcome,
    pub(crate) logs: Vec<LogLine>,
}

#[derive(Default)]
struct Slot {
    entries: BTreeMap<MessageId, InvocationInfo>,
    /// Ended ones, oldest first, with the bytes they hold.
    ended: VecDeque<(MessageId, usize)>,
    bytes: usize,
}

/// Recent invocations of all tenants.
pub(crate) struct Recent {
    slots: Vec<Mutex<Slot>>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Recent {
    fn slot(&self, id: MessageId) -> &Mutex<Slot> {
        // The low bits of both kinds of id are as good as random.
        &self.slots[(id.0 as usize) % SLOTS]
    }

    /// A turn begins.
    pub(crate) fn started(&self, start: &TurnStart, began: Timestamp) {
        let target = InvocationTarget::Method(start.agent.clone(), start.method.to_string());
        let queued = start.chain.root_at.min(began);
        let tenant = start.agent.tenant().clone();
        self.insert(start.id, tenant, target, queued, Some(began), false);
    }

    /// A function's invocation was accepted.
    pub(crate) fn queued_function(&self, start: &FunctionStart, durable: bool) {
        let target = InvocationTarget::Function(start.function.name.clone());
        let queued = start.chain.root_at;
        self.insert(
            start.id,
            start.function.tenant.clone(),
            target,
            queued,
            None,
            durable,
        );
    }

    fn insert(
        &self,
        id: MessageId,
        tenant: TenantId,
        target: InvocationTarget,
        queued: Timestamp,
        started: Option<Timestamp>,
        durable: bool,
    ) {
        let mut slot = self.slot(id).lock();
        let attempts = slot.entries.get(&id).map_or(0, |old| old.attempts) + 1;
        let status = match started {
            Some(_) => InvocationStatus::Running,
            None => InvocationStatus::Queued,
        };
        let info = InvocationInfo {
            id,
            tenant,
            target,
            status,
            queued,
            started,
            ended: None,
            cold: None,
            run_micros: None,
            memory: None,
            attempts,
            outcome: None,
            logs: Vec::new(),
            durable,
            traceparent: None,
        };
        slot.entries.insert(id, info);
    }

    /// A function's invocation got its instance.
    pub(crate) fn running(&self, id: MessageId, began: Timestamp) {
        if let Some(info) = self.slot(id).lock().entries.get_mut(&id) {
            info.status = InvocationStatus::Running;
            info.started = Some(began);
        }
    }

    /// Notes the caller's trace.
    pub(crate) fn traced(&self, id: MessageId, traceparent: String) {
        if let Some(info) = self.slot(id).lock().entries.get_mut(&id) {
            info.traceparent = Some(traceparent);
        }
    }

    pub(crate) fn ended(&self, id: MessageId, ended: Ended) {
        let mut slot = self.slot(id).lock();
        let Some(info) = slot.entries.get_mut(&id) else {
            return;
        };
        info.status = match ended.outcome {
            Ok(_) => InvocationStatus::Succeeded,
            Err(_) => InvocationStatus::Failed,
        };
        info.ended = Some(ended.at);
        info.cold = Some(ended.cold);
        info.run_micros = Some(u64::try_from(ended.run.as_micros()).unwrap_or(u64::MAX));
        info.memory = Some(ended.memory);
        info.logs = ended.logs;
        info.outcome = Some(ended.outcome).filter(|outcome| match outcome {
            Ok(result) => result.len() <= KEPT_RESULT,
            Err(_) => true,
        });
        let bytes = 512 + weight(info);
        slot.bytes += bytes;
        slot.ended.push_back((id, bytes));
        slot.shrink();
    }

    pub(crate) fn get(&self, tenant: &TenantId, id: MessageId) -> Option<InvocationInfo> {
        let slot = self.slot(id).lock();
        slot.entries
            .get(&id)
            .filter(|info| info.tenant == *tenant)
            .cloned()
    }

    /// A tenant's invocations, newest first, before `before` if given.
    pub(crate) fn list(
        &self,
        tenant: &TenantId,
        before: Option<(Timestamp, MessageId)>,
        limit: usize,
    ) -> Vec<InvocationInfo> {
        let mut found: Vec<InvocationInfo> = Vec::new();
        for slot in &self.slots {
            let slot = slot.lock();
            let wanted = slot.entries.values().filter(|info| {
                info.tenant == *tenant && before.is_none_or(|at| (info.queued, info.id) < at)
            });
            found.extend(wanted.cloned());
        }
        found.sort_unstable_by_key(|info| std::cmp::Reverse((info.queued, info.id)));
        found.truncate(limit);
        found
    }
}

impl Slot {
    fn shrink(&mut self) {
        while self.bytes > SLOT_BYTES || self.ended.len() > MAX_RECENT_INVOCATIONS / SLOTS {
            let Some((id, bytes)) = self.ended.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            // One that was tried again is in the queue again, and running: it stays.
            if self
                .entries
                .get(&id)
                .is_some_and(|info| info.ended.is_some())
            {
                self.entries.remove(&id);
            }
        }
    }
}

fn weight(info: &InvocationInfo) -> usize {
    let logs: usize = info.logs.iter().map(|line| line.message.len()).sum();
    let outcome = match &info.outcome {
        Some(Ok(result)) => result.len(),
        Some(Err(error)) => error.detail.len() + 256,
        None => 0,
    };
    logs + outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use eddy_core::CallChain;
    use eddy_types::{FunctionId, Name};

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let recent = Recent::default();
        let tenant = TenantId::default_tenant();
        let name = Name::new("f").expect("a name");
        let count = 2 * MAX_RECENT_INVOCATIONS as u64;
        for n in 0..count {
            let start = FunctionStart {
                id: MessageId(u128::from(n)),
                function: FunctionId {
                    tenant: tenant.clone(),
                    name: name.clone(),
                },
                argument: Bytes::new(),
                attempt: 1,
                deadline: None,
                chain: CallChain::root(Timestamp(n)),
            };
            recent.queued_function(&start, false);
            let ended = Ended {
                at: Timestamp(n),
                cold: true,
                run: Duration::ZERO,
                memory: 0,
                outcome: Ok(Bytes::from_static(b"1")),
                logs: Vec::new(),
            };
            recent.ended(start.id, ended);
        }
        let all = recent.list(&tenant, None, usize::MAX);
        assert!(all.len() <= MAX_RECENT_INVOCATIONS && all.len() > MAX_RECENT_INVOCATIONS / 8);
        assert_eq!(all[0].queued, Timestamp(count - 1));
        assert!(recent.get(&tenant, MessageId(0)).is_none());
    }
}
