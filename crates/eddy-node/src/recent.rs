//! Records of recent invocations, in memory and bounded: the best-effort part of the history. The
//! durable part is in the store. Split into slots so that no lock is shared by all.

use crate::facade::{InvocationInfo, InvocationStatus, InvocationTarget, LogLine};
use eddy_core::{FunctionStart, MessageId, Outcome};
use eddy_types::limits::MAX_RECENT_INVOCATIONS;
use eddy_types::{AgentId, GuestFailure, HashMap, MethodName, TenantId, Timestamp};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::time::Duration;

const SLOTS: usize = 16;
/// Bytes of results and logs one slot keeps.
const SLOT_BYTES: usize = 2 << 20;
/// What a line of a log takes besides its text.
pub(crate) const LOG_LINE: usize = 64;
/// Results larger than this are not kept.
const KEPT_RESULT: usize = 16 << 10;

/// What an attempt took. How it ended is known later: when its record is durable.
pub(crate) struct Ran {
    pub(crate) cold: bool,
    pub(crate) run: Duration,
    pub(crate) memory: usize,
    pub(crate) logs: Vec<LogLine>,
}

/// A turn as the history shows it.
pub(crate) struct TurnRecord {
    pub(crate) id: MessageId,
    pub(crate) agent: AgentId,
    pub(crate) method: MethodName,
    pub(crate) queued: Timestamp,
    pub(crate) began: Timestamp,
}

#[derive(Default)]
struct Slot {
    entries: HashMap<MessageId, Box<InvocationInfo>>,
    /// Ended and waiting ones, oldest first, with the bytes they hold.
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

    /// A turn takes long enough to be seen while it runs.
    pub(crate) fn started(&self, turn: TurnRecord) {
        let id = turn.id;
        self.slot(id).lock().insert(id, turn.running());
    }

    /// The handler of a turn has ended.
    pub(crate) fn turn_ran(&self, turn: TurnRecord, ran: Ran) {
        let id = turn.id;
        let mut slot = self.slot(id).lock();
        let seen = slot.entries.get(&id);
        if seen.is_none_or(|info| info.status != InvocationStatus::Running) {
            slot.insert(id, turn.running());
        }
        slot.ran(id, ran);
    }

    /// A function's invocation was accepted.
    pub(crate) fn queued_function(&self, start: &FunctionStart, durable: bool) {
        let target = InvocationTarget::Function(start.function.name.clone());
        let tenant = start.function.tenant.clone();
        let mut info = InvocationInfo::new(start.id, tenant, target, start.chain.root_at);
        info.durable = durable;
        self.slot(start.id).lock().insert(start.id, info);
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

    /// The handler of a function's attempt has ended.
    pub(crate) fn ran(&self, id: MessageId, ran: Ran) {
        self.slot(id).lock().ran(id, ran);
    }

    /// An attempt failed, and the invocation waits for its next one.
    pub(crate) fn again(&self, id: MessageId) {
        let mut slot = self.slot(id).lock();
        let Some(info) = slot.entries.get_mut(&id) else {
            return;
        };
        info.status = InvocationStatus::Queued;
        slot.may_go(id);
    }

    /// The invocation has ended, as its caller is told.
    pub(crate) fn ended(&self, id: MessageId, at: Timestamp, outcome: Outcome) {
        let mut slot = self.slot(id).lock();
        let Some(info) = slot.entries.get_mut(&id) else {
            return;
        };
        info.status = match outcome {
            Ok(_) => InvocationStatus::Succeeded,
            Err(_) => InvocationStatus::Failed,
        };
        info.ended = Some(at);
        info.outcome = Some(outcome).filter(|outcome| match outcome {
            Ok(result) => result.len() <= KEPT_RESULT,
            Err(_) => true,
        });
        slot.may_go(id);
    }

    pub(crate) fn get(&self, tenant: &TenantId, id: MessageId) -> Option<InvocationInfo> {
        let slot = self.slot(id).lock();
        slot.entries
            .get(&id)
            .filter(|info| info.tenant == *tenant)
            .map(|info| (**info).clone())
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
            found.extend(wanted.map(|info| (**info).clone()));
        }
        found.sort_unstable_by_key(|info| std::cmp::Reverse((info.queued, info.id)));
        found.truncate(limit);
        found
    }
}

impl TurnRecord {
    fn running(self) -> InvocationInfo {
        let tenant = self.agent.tenant().clone();
        let target = InvocationTarget::Method(self.agent, self.method);
        let mut info = InvocationInfo::new(self.id, tenant, target, self.queued);
        info.status = InvocationStatus::Running;
        info.started = Some(self.began);
        info
    }
}

impl InvocationInfo {
    /// One that waits for its first attempt.
    fn new(id: MessageId, tenant: TenantId, target: InvocationTarget, queued: Timestamp) -> Self {
        Self {
            id,
            tenant,
            target,
            status: InvocationStatus::Queued,
            queued,
            started: None,
            ended: None,
            cold: None,
            run_micros: None,
            memory: None,
            attempts: 1,
            outcome: None,
            logs: Vec::new(),
            durable: false,
            traceparent: None,
        }
    }
}

impl Slot {
    /// Another attempt, or the first.
    fn insert(&mut self, id: MessageId, mut info: InvocationInfo) {
        match self.entries.entry(id) {
            Entry::Occupied(mut old) => {
                info.attempts = old.get().attempts + 1;
                **old.get_mut() = info;
            }
            Entry::Vacant(free) => drop(free.insert(Box::new(info))),
        }
    }

    fn ran(&mut self, id: MessageId, ran: Ran) {
        if let Some(info) = self.entries.get_mut(&id) {
            info.cold = Some(ran.cold);
            info.run_micros = Some(u64::try_from(ran.run.as_micros()).unwrap_or(u64::MAX));
            info.memory = Some(ran.memory);
            info.logs = ran.logs;
        }
    }

    /// From now on the record may make room for others.
    fn may_go(&mut self, id: MessageId) {
        let bytes = 512 + self.entries.get(&id).map_or(0, |info| weight(info));
        self.bytes += bytes;
        self.ended.push_back((id, bytes));
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > SLOT_BYTES || self.ended.len() > MAX_RECENT_INVOCATIONS / SLOTS {
            let Some((id, bytes)) = self.ended.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            // One that is being tried again stays.
            let runs = |info: &InvocationInfo| info.status == InvocationStatus::Running;
            if self.entries.get(&id).is_some_and(|info| !runs(info)) {
                self.entries.remove(&id);
            }
        }
    }
}

fn weight(info: &InvocationInfo) -> usize {
    let logs = info.logs.iter().map(|line| line.message.len() + LOG_LINE);
    let outcome = match &info.outcome {
        Some(Ok(result)) => result.len(),
        Some(Err(error)) => {
            error.detail.len() + 256 + error.guest.as_ref().map_or(0, |guest| guest_weight(guest))
        }
        None => 0,
    };
    logs.sum::<usize>() + outcome
}

fn guest_weight(guest: &GuestFailure) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    guest.name.len() + length(&guest.stack) + length(&guest.details)
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
            // Every other one waits to be tried again.
            match n % 2 {
                0 => recent.again(start.id),
                _ => recent.ended(start.id, Timestamp(n), Ok(Bytes::from_static(b"1"))),
            }
        }
        let all = recent.list(&tenant, None, usize::MAX);
        assert!(all.len() <= MAX_RECENT_INVOCATIONS && all.len() > MAX_RECENT_INVOCATIONS / 8);
        assert_eq!(all[0].queued, Timestamp(count - 1));
        assert!(recent.get(&tenant, MessageId(0)).is_none());
    }
}
