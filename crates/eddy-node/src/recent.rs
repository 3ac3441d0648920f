//! Records of recent invocations, in memory and bounded: the best-effort part of the history. The
//! durable part is in the store. Split into slots so that no lock is shared by all. What makes room for
//! newer ones is in `history.rs`.

mod history;

use crate::facade::{InvocationInfo, InvocationStatus, InvocationTarget, LogLine};
use eddy_core::{FunctionStart, MessageId, Outcome};
use eddy_types::{AgentId, GuestFailure, HashMap, MethodName, TenantId, Timestamp};
use history::History;
use parking_lot::Mutex;
use std::collections::hash_map::Entry;
use std::time::Duration;

const SLOTS: usize = 16;
/// What a line of a log takes besides its text.
pub(crate) const LOG_LINE: usize = 64;
/// Results larger than this are not kept.
const KEPT_RESULT: usize = 16 << 10;
/// The same for queries: whoever wants to know can ask again.
const KEPT_QUERY_RESULT: usize = 256;

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
    /// It changed nothing.
    pub(crate) query: bool,
}

/// A record, and how large a result it keeps.
struct Kept {
    info: InvocationInfo,
    largest: usize,
}

#[derive(Default)]
struct Slot {
    entries: HashMap<MessageId, Box<Kept>>,
    /// Ended and waiting ones: they may make room for others.
    history: History,
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
        let kept = turn.running();
        self.slot(id).lock().insert(id, kept);
    }

    /// The handler of a turn has ended.
    pub(crate) fn turn_ran(&self, turn: TurnRecord, ran: Ran) {
        let id = turn.id;
        let mut slot = self.slot(id).lock();
        let seen = slot.entries.get(&id);
        if seen.is_none_or(|kept| kept.info.status != InvocationStatus::Running) {
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
        let kept = Kept {
            info,
            largest: KEPT_RESULT,
        };
        self.slot(start.id).lock().insert(start.id, kept);
    }

    /// A function's invocation got its instance.
    pub(crate) fn running(&self, id: MessageId, began: Timestamp) {
        if let Some(Kept { info, .. }) = self.slot(id).lock().entries.get_mut(&id).map(|k| &mut **k)
        {
            info.status = InvocationStatus::Running;
            info.started = Some(began);
        }
    }

    /// Notes the caller's trace.
    pub(crate) fn traced(&self, id: MessageId, traceparent: String) {
        if let Some(kept) = self.slot(id).lock().entries.get_mut(&id) {
            kept.info.traceparent = Some(traceparent);
        }
    }

    /// The handler of a function's attempt has ended.
    pub(crate) fn ran(&self, id: MessageId, ran: Ran) {
        self.slot(id).lock().ran(id, ran);
    }

    /// An attempt failed, and the invocation waits for its next one.
    pub(crate) fn again(&self, id: MessageId) {
        let mut slot = self.slot(id).lock();
        let Some(kept) = slot.entries.get_mut(&id) else {
            return;
        };
        kept.info.status = InvocationStatus::Queued;
        slot.may_go(id);
    }

    /// The invocation has ended, as its caller is told.
    pub(crate) fn ended(&self, id: MessageId, at: Timestamp, outcome: Outcome) {
        let mut slot = self.slot(id).lock();
        let Some(kept) = slot.entries.get_mut(&id) else {
            return;
        };
        let Kept { info, largest } = &mut **kept;
        info.status = match outcome {
            Ok(_) => InvocationStatus::Succeeded,
            Err(_) => InvocationStatus::Failed,
        };
        info.ended = Some(at);
        info.outcome = Some(outcome).filter(|outcome| match outcome {
            Ok(result) => result.len() <= *largest,
            Err(_) => true,
        });
        slot.may_go(id);
    }

    pub(crate) fn get(&self, tenant: &TenantId, id: MessageId) -> Option<InvocationInfo> {
        let slot = self.slot(id).lock();
        slot.entries
            .get(&id)
            .filter(|kept| kept.info.tenant == *tenant)
            .map(|kept| kept.info.clone())
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
            let all = slot.entries.values().map(|kept| &kept.info);
            let wanted = all.filter(|info| {
                info.tenant == *tenant && before.is_none_or(|at| (info.queued, info.id) < at)
            });
            found.extend(wanted.cloned());
        }
        found.sort_unstable_by_key(|info| std::cmp::Reverse((info.queued, info.id)));
        found.truncate(limit);
        found
    }
}

impl TurnRecord {
    fn running(self) -> Kept {
        let tenant = self.agent.tenant().clone();
        let target = InvocationTarget::Method(self.agent, self.method);
        let mut info = InvocationInfo::new(self.id, tenant, target, self.queued);
        info.status = InvocationStatus::Running;
        info.started = Some(self.began);
        let largest = if self.query {
            KEPT_QUERY_RESULT
        } else {
            KEPT_RESULT
        };
        Kept { info, largest }
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
    fn insert(&mut self, id: MessageId, mut kept: Kept) {
        match self.entries.entry(id) {
            Entry::Occupied(mut old) => {
                kept.info.attempts = old.get().info.attempts + 1;
                **old.get_mut() = kept;
            }
            Entry::Vacant(free) => drop(free.insert(Box::new(kept))),
        }
    }

    fn ran(&mut self, id: MessageId, ran: Ran) {
        if let Some(kept) = self.entries.get_mut(&id) {
            let info = &mut kept.info;
            info.cold = Some(ran.cold);
            info.run_micros = Some(u64::try_from(ran.run.as_micros()).unwrap_or(u64::MAX));
            info.memory = Some(ran.memory);
            info.logs = ran.logs;
        }
    }

    /// From now on the record may make room for others.
    fn may_go(&mut self, id: MessageId) {
        let Some(kept) = self.entries.get(&id) else {
            return;
        };
        let tenant = kept.info.tenant.clone();
        self.history.add(&tenant, id, 512 + weight(&kept.info));
        while let Some(id) = self.history.pop_surplus(&tenant) {
            // One that is being tried again stays.
            let runs = |info: &InvocationInfo| info.status == InvocationStatus::Running;
            if self.entries.get(&id).is_some_and(|kept| !runs(&kept.info)) {
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
    use eddy_types::limits::MAX_RECENT_INVOCATIONS;
    use eddy_types::{FunctionId, Name};

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a tenant")
    }

    /// `count` invocations of a function that log so much; the ids begin at `first`.
    fn invoke(recent: &Recent, of: &TenantId, first: u64, count: u64, logged: usize) {
        let name = Name::new("f").expect("a name");
        for n in first..first + count {
            let start = FunctionStart {
                id: MessageId(u128::from(n)),
                function: FunctionId {
                    tenant: of.clone(),
                    name: name.clone(),
                },
                argument: Bytes::new(),
                attempt: 1,
                deadline: None,
                chain: CallChain::root(Timestamp(n)),
            };
            recent.queued_function(&start, false);
            let line = LogLine {
                at: Timestamp(n),
                level: "info",
                message: "x".repeat(logged),
            };
            let ran = Ran {
                cold: false,
                run: Duration::ZERO,
                memory: 0,
                logs: vec![line],
            };
            recent.ran(start.id, ran);
            // Every other one waits to be tried again.
            match n % 2 {
                0 => recent.again(start.id),
                _ => recent.ended(start.id, Timestamp(n), Ok(Bytes::from_static(b"1"))),
            }
        }
    }

    fn ids(recent: &Recent, of: &TenantId) -> Vec<MessageId> {
        let all = recent.list(of, None, usize::MAX);
        all.iter().map(|info| info.id).collect()
    }

    const MOST: u64 = MAX_RECENT_INVOCATIONS as u64;

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let (recent, tenant) = (Recent::default(), TenantId::default_tenant());
        invoke(&recent, &tenant, 0, 2 * MOST, 1);
        let all = recent.list(&tenant, None, usize::MAX);
        assert_eq!(all.len(), MAX_RECENT_INVOCATIONS, "all that one may have");
        assert_eq!(all[0].queued, Timestamp(2 * MOST - 1));
        assert!(recent.get(&tenant, MessageId(0)).is_none());
    }

    #[test]
    fn a_tenant_that_runs_much_takes_nothing_of_another_ones_history() {
        let recent = Recent::default();
        let (quiet, loud) = (tenant("quiet"), tenant("loud"));
        invoke(&recent, &quiet, 0, MOST / 2, 1);
        let before = ids(&recent, &quiet);
        invoke(&recent, &loud, MOST, 1200, 60_000);
        assert!(ids(&recent, &quiet) == before, "all of it stays");
        invoke(&recent, &loud, 2 * MOST, 2 * MOST, 1);
        assert!(ids(&recent, &quiet) == before, "all of it stays");
        assert_eq!(ids(&recent, &loud).len(), MAX_RECENT_INVOCATIONS);
    }

    #[test]
    fn many_tenants_have_equal_shares_and_all_of_them_a_limit() {
        let recent = Recent::default();
        let few = tenant("few");
        invoke(&recent, &few, 0, 64, 1);
        let many: Vec<_> = (0..8).map(|n| tenant(&format!("t{n}"))).collect();
        for (n, of) in many.iter().enumerate() {
            invoke(&recent, of, (n as u64 + 1) << 20, MOST, 1);
        }
        assert_eq!(ids(&recent, &few).len(), 64, "less than its share");
        let counts: Vec<_> = many.iter().map(|of| ids(&recent, of).len()).collect();
        let share = (2 * MAX_RECENT_INVOCATIONS - 64) / 8;
        let fair = |count: &usize| count.abs_diff(share) <= SLOTS;
        assert!(counts.iter().all(fair), "{counts:?}, not {share} each");
        assert!(counts.iter().sum::<usize>() + 64 <= 2 * MAX_RECENT_INVOCATIONS);
    }
}
