//! Live instances of agents, and passivation: idle ones go after their time, or earlier, least
//! recently used first, when room is needed. Only idle ones are counted and can be dropped.

use crate::access::Account;
use crate::catalog::App;
use crate::clock;
use crate::inner::Inner;
use crate::process;
use crate::tasks::Tasks;
use eddy_types::{AgentId, HashMap};
use eddy_wasm::{Fault, Instance};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How many are dropped at once when room is needed.
const EVICT: usize = 16;
/// The most instances that are kept free of idle agents.
const FOR_FUNCTIONS: usize = 500;

/// What a node may need besides its guests, in bytes.
const REST: usize = 1 << 30;

/// An instance between two turns.
pub(crate) struct Live {
    pub(crate) instance: Instance,
    pub(crate) app: Arc<App>,
    pub(crate) memory: usize,
    last_used: Instant,
}

/// The memory of idle instances, over all shards.
struct Room {
    limit: usize,
    used: AtomicUsize,
    /// Dropped by shards that needed room, not yet in the counters of the node.
    dropped: AtomicUsize,
    tasks: Tasks,
}

/// The live instances of a shard. One that runs is taken out.
#[derive(Default)]
pub(crate) struct LiveAgents {
    idle: HashMap<AgentId, Live>,
    memory: usize,
    /// How many instances' room they take.
    places: usize,
    /// Absent until the node first looks for idle agents.
    room: Option<Arc<Room>>,
}

impl LiveAgents {
    pub(crate) fn take(&mut self, agent: &AgentId) -> Option<Live> {
        self.take_named(agent).map(|(_, live)| live)
    }

    /// With the address under which it was kept: records that share that one cost no memory.
    pub(crate) fn take_named(&mut self, agent: &AgentId) -> Option<(AgentId, Live)> {
        let (name, live) = self.idle.remove_entry(agent)?;
        self.less(&live);
        Some((name, live))
    }

    pub(crate) fn put(&mut self, agent: AgentId, instance: Instance, app: Arc<App>) {
        let memory = instance.charged_bytes();
        let live = Live {
            instance,
            app,
            memory,
            last_used: clock::instant(),
        };
        self.more(&live);
        if let Some(old) = self.idle.insert(agent, live) {
            self.less(&old);
        }
        self.give_way(memory);
    }

    /// Keeps a burst of activations within the memory limit: when all shards together have too
    /// much, at least as much goes here as came; and a share of the shard, so that not every
    /// instance that comes has them all sorted.
    fn give_way(&mut self, came: usize) {
        let Some(room) = self.room.clone() else {
            return;
        };
        if room.used.load(Relaxed) <= room.limit {
            return;
        }
        let wanted = came.max(self.memory / 16);
        let idle = self.idle.iter();
        let mut oldest: Vec<_> = idle.map(|(a, live)| (live.last_used, a.clone())).collect();
        oldest.sort_unstable_by_key(|(used, _)| *used);
        let (mut freed, mut dropped) = (0, Vec::new());
        for (_, agent) in oldest {
            if freed >= wanted {
                break;
            }
            let live = self.take(&agent);
            freed += live.as_ref().map_or(0, |live| live.memory);
            dropped.extend(live);
        }
        room.dropped.fetch_add(dropped.len(), Relaxed);
        // Unmapping takes time, and the shard is held here.
        room.tasks.spawn(async move { drop(dropped) });
    }

    /// From now on counts into the memory of all shards.
    fn join(&mut self, room: &Arc<Room>) {
        if self.room.is_none() {
            room.used.fetch_add(self.memory, Relaxed);
            self.room = Some(room.clone());
        }
    }

    fn more(&mut self, live: &Live) {
        self.memory += live.memory;
        self.places += live.instance.places();
        if let Some(room) = &self.room {
            room.used.fetch_add(live.memory, Relaxed);
        }
    }

    fn less(&mut self, live: &Live) {
        self.memory -= live.memory;
        self.places -= live.instance.places();
        if let Some(room) = &self.room {
            room.used.fetch_sub(live.memory, Relaxed);
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
    /// Drops instances that were idle for long, and as many more as there are too many.
    pub(crate) fn passivate_idle(&self) {
        let room = self.shared_room();
        self.stats.passivated(room.dropped.swap(0, Relaxed));
        let now = clock::instant();
        for shard in &self.shards {
            let expired = shard.lock().live.expired(now);
            self.stats.passivated(expired.len());
        }
        self.passivate_tenants();
        let (count, memory) = self.live_total();
        let resident = process::resident().unwrap_or_default();
        let unexpected = resident.saturating_sub(room.limit.saturating_add(REST));
        if memory > room.limit || count > self.max_live() || unexpected > 0 {
            let too_much = memory.saturating_sub(room.limit);
            let too_many = count.saturating_sub(self.max_live());
            // What instances count for is an estimate. When it was too low, their share goes.
            let heavy = count.saturating_mul(unexpected) / resident.max(1);
            let wanted = too_many.max(share(count)).max(heavy);
            self.drop_oldest(|dropped, freed| dropped >= wanted && freed >= too_much);
        }
    }

    /// Keeps an eighth of each tenant's memory free of idle instances, so that turns have room to grow.
    fn passivate_tenants(&self) {
        for account in self.access.accounts() {
            let limit = account.memory.limit();
            if limit.is_some_and(|limit| account.memory.used() > limit - limit / 8) {
                self.make_room_of(&account);
            }
        }
    }

    /// The room that all shards count into; made, and told to them, at the first look.
    fn shared_room(&self) -> Arc<Room> {
        let known = self.shards.first().and_then(|s| s.lock().live.room.clone());
        let room = known.unwrap_or_else(|| {
            Arc::new(Room {
                limit: self.config.guest_memory,
                used: AtomicUsize::new(0),
                dropped: AtomicUsize::new(0),
                tasks: self.tasks.clone(),
            })
        });
        for shard in &self.shards {
            shard.lock().live.join(&room);
        }
        room
    }

    /// Live instances between turns, and their memory in bytes.
    pub(crate) fn live_total(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(count, memory), shard| {
            let state = shard.lock();
            (count + state.live.len(), memory + state.live.memory())
        })
    }

    /// How many instances' room idle agents take.
    fn idle_places(&self) -> usize {
        let places = self.shards.iter().map(|shard| shard.lock().live.places);
        places.sum()
    }

    /// Instances that agents may keep: the rest is for functions and turns that start.
    fn max_live(&self) -> usize {
        let max = self.config.max_instances as usize;
        max.saturating_sub((max / 8).clamp(1, FOR_FUNCTIONS))
    }

    /// [`Fault::NoRoom`] when a tenant may not have another instance. Its own spares and idle agents go
    /// when it has too many.
    pub(crate) fn check_share(&self, account: &Account) -> Result<(), Fault> {
        if self.fits_share(account) || (self.make_room_of(account) && self.fits_share(account)) {
            return Ok(());
        }
        let message = "the tenant has as many of them as it leaves to others".to_owned();
        Err(Fault::NoRoom { message })
    }

    /// Whether a tenant may have another instance. It takes at most as much room as it leaves free of all that
    /// does not just idle, so that however many want them all, there are some for the next one. The default
    /// tenant may have all.
    pub(crate) fn fits_share(&self, account: &Account) -> bool {
        let most = self.config.max_instances as usize;
        let fits = |busy: usize| account.memory.instances() < most.saturating_sub(busy);
        let busy = || self.engine.instances().saturating_sub(self.idle_places());
        // Most of the time few are taken, and nothing needs to be counted.
        account.is_default() || fits(self.engine.instances()) || fits(busy())
    }

    /// Drops the least recently used instances. Whether there were any.
    pub(crate) fn make_room(&self) -> bool {
        let wanted = share(self.live_total().0);
        self.drop_oldest(|dropped, _| dropped >= wanted) > 0
    }

    /// Makes room for one more instance of a tenant, among its own: spares go, then idle agents,
    /// least recently used first, an eighth of the limit at once. Whether any went.
    pub(crate) fn make_room_of(&self, account: &Account) -> bool {
        if !account.may_make_room() {
            return false;
        }
        let spares = self.drop_spares_of(&account.tenant);
        let wanted = account.memory.limit().unwrap_or_default() / 8;
        let own = |agent: &AgentId| *agent.tenant() == account.tenant;
        let some = self.drop_oldest_of(own, |_, freed| freed >= wanted) > 0 || spares;
        account.room_made(some);
        some
    }

    /// [`Self::drop_oldest_of`] of all agents.
    fn drop_oldest(&self, enough: impl Fn(usize, usize) -> bool) -> usize {
        self.drop_oldest_of(|_| true, enough)
    }

    /// Drops the least recently used instances of such agents, until enough of them and of their bytes
    /// are gone or none is left of those that were idle at the beginning. Answers how many.
    fn drop_oldest_of(
        &self,
        of: impl Fn(&AgentId) -> bool,
        enough: impl Fn(usize, usize) -> bool,
    ) -> usize {
        let mut oldest: Vec<(Instant, AgentId, usize)> = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            let state = shard.lock();
            oldest.extend(
                state
                    .live
                    .idle
                    .iter()
                    .filter(|(agent, _)| of(agent))
                    .map(|(a, live)| (live.last_used, a.clone(), index)),
            );
        }
        oldest.sort_unstable_by_key(|(used, ..)| *used);
        let (mut dropped, mut freed) = (0, 0);
        for (_, agent, index) in oldest {
            if enough(dropped, freed) {
                break;
            }
            let taken = self.shards[index].lock().live.take(&agent);
            if let Some(live) = taken {
                dropped += 1;
                freed += live.memory;
            }
        }
        self.stats.passivated(dropped);
        dropped
    }
}

/// How many are dropped at once, of so many.
fn share(idle: usize) -> usize {
    EVICT.max(idle / 16)
}

#[cfg(test)]
mod tests;
