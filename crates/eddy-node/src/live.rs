//! Live instances of agents, and passivation: idle ones go after their time, or earlier, least
//! recently used first, when room is needed.

use crate::catalog::App;
use crate::clock;
use crate::inner::Inner;
use eddy_types::AgentId;
use eddy_wasm::Instance;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many are dropped at once when room is needed.
const EVICT: usize = 16;

/// An instance between two turns.
pub(crate) struct Live {
    pub(crate) instance: Instance,
    pub(crate) app: Arc<App>,
    pub(crate) memory: usize,
    last_used: Instant,
}

/// The live instances of a shard. One that runs is taken out.
#[derive(Default)]
pub(crate) struct LiveAgents {
    idle: HashMap<AgentId, Live>,
    memory: usize,
}

impl LiveAgents {
    pub(crate) fn take(&mut self, agent: &AgentId) -> Option<Live> {
        let live = self.idle.remove(agent)?;
        self.memory -= live.memory;
        Some(live)
    }

    pub(crate) fn put(&mut self, agent: AgentId, instance: Instance, app: Arc<App>) {
        let memory = instance.memory_bytes();
        self.memory += memory;
        let live = Live {
            instance,
            app,
            memory,
            last_used: clock::instant(),
        };
        if let Some(old) = self.idle.insert(agent, live) {
            self.memory -= old.memory;
        }
    }

    pub(crate) fn remove(&mut self, agent: &AgentId) -> Option<Live> {
        self.take(agent)
    }

    pub(crate) fn contains(&self, agent: &AgentId) -> bool {
        self.idle.contains_key(agent)
    }

    pub(crate) fn len(&self) -> usize {
        self.idle.len()
    }

    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Takes out those that were idle for as long as their type allows.
    fn expired(&mut self, now: Instant) -> Vec<Live> {
        let idle_time = |agent: &AgentId, live: &Live| {
            live.app
                .agent(agent.agent_type())
                .map_or(Duration::ZERO, |(spec, _)| spec.idle)
        };
        let expired: Vec<AgentId> = self
            .idle
            .iter()
            .filter(|(agent, live)| now - live.last_used >= idle_time(agent, live))
            .map(|(agent, _)| agent.clone())
            .collect();
        expired
            .iter()
            .filter_map(|agent| self.take(agent))
            .collect()
    }
}

impl Inner {
    /// Drops instances that were idle for long.
    pub(crate) fn passivate_idle(&self) {
        let now = clock::instant();
        for shard in &self.shards {
            let expired = shard.lock().live.expired(now);
            self.stats.passivated(expired.len());
        }
        let (count, memory) = self.live_total();
        if memory > self.config.guest_memory || count >= self.max_live() {
            self.make_room();
        }
    }

    /// Live instances between turns, and their memory in bytes.
    pub(crate) fn live_total(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(count, memory), shard| {
            let state = shard.lock();
            (count + state.live.len(), memory + state.live.memory())
        })
    }

    /// Instances that agents may keep: the rest is for functions and turns that start.
    fn max_live(&self) -> usize {
        let max = self.config.max_instances as usize;
        max - max / 8
    }

    /// Drops the least recently used instances. Whether there were any.
    pub(crate) fn make_room(&self) -> bool {
        let mut oldest: Vec<(Instant, AgentId, usize)> = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            let state = shard.lock();
            oldest.extend(
                state
                    .live
                    .idle
                    .iter()
                    .map(|(a, live)| (live.last_used, a.clone(), index)),
            );
        }
        oldest.sort_unstable_by_key(|(used, ..)| *used);
        let wanted = EVICT.max(oldest.len() / 16);
        let mut dropped = 0;
        for (_, agent, index) in oldest.into_iter().take(wanted) {
            let taken = self.shards[index].lock().live.take(&agent);
            dropped += usize::from(taken.is_some());
        }
        self.stats.passivated(dropped);
        dropped > 0
    }
}
