//! Deadlock across call chains, found by probes along blocked calls (Chandy, Misra and Haas,
//! "Distributed Deadlock Detection", ACM TOCS 1983): a probe starts when a call has to wait behind
//! a running turn, follows the calls of that turn, and has found a circle when it comes back.

use super::{Action, ShardCore};
use crate::message::{MessageId, TurnId};
use eddy_types::{AgentId, ShardId, Timestamp};

/// Longest path a probe follows.
const MAX_PATH: usize = 64;

/// A call that waits in a mailbox: one that can be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    root_at: Timestamp,
    call: MessageId,
    shard: ShardId,
    agent: AgentId,
}

/// A question on its way along blocked calls: does this come back to `initiator`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    initiator: TurnId,
    path: Vec<TurnId>,
    waiting: Vec<Waiting>,
    agent: AgentId,
    call: MessageId,
}

impl<R> ShardCore<R> {
    pub(super) fn start_probe(
        &mut self,
        initiator: TurnId,
        agent: AgentId,
        call: MessageId,
        out: &mut Vec<Action<R>>,
    ) {
        self.probe(
            Probe {
                initiator,
                path: Vec::new(),
                waiting: Vec::new(),
                agent,
                call,
            },
            out,
        );
    }

    /// A probe arrives along a call to one of this shard's agents.
    pub fn probe(&mut self, mut probe: Probe, out: &mut Vec<Action<R>>) {
        let Some(cell) = self.cells.get(&probe.agent) else {
            return;
        };
        let Some(running) = &cell.running else { return };
        let queued = cell
            .queue
            .iter()
            .find(|queued| queued.message.id == probe.call);
        match queued {
            Some(queued) => probe.waiting.push(Waiting {
                root_at: queued.message.chain.root_at,
                call: probe.call,
                shard: self.shard,
                agent: probe.agent.clone(),
            }),
            None if running.message.id == probe.call => {}
            None => return, // the call has been answered meanwhile
        }
        if running.turn == probe.initiator {
            let youngest = probe
                .waiting
                .into_iter()
                .max_by_key(|w| (w.root_at, w.call));
            if let Some(Waiting {
                call, shard, agent, ..
            }) = youngest
            {
                out.push(Action::AbortCall { shard, agent, call });
            }
            return;
        }
        if probe.path.contains(&running.turn) || probe.path.len() >= MAX_PATH {
            return;
        }
        probe.path.push(running.turn);
        for (call, agent) in &running.calls {
            let shard = self.map.shard_of_agent(agent);
            let probe = Probe {
                agent: agent.clone(),
                call: *call,
                ..probe.clone()
            };
            out.push(Action::Probe { shard, probe });
        }
    }
}
