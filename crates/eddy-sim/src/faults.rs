//! What goes wrong: crashes, take-overs from a node that only slept, failed flushes; and how a
//! node starts again.

use crate::carry::Actions;
use crate::disk::epoch_record;
use crate::node::{Append, Node};
use crate::world::{Broken, World};
use eddy_core::model::MemoryStore;
use eddy_core::{Action, Mutation, ShardCore};
use eddy_types::{EddyError, ErrorCode, Seq, ShardId};
use std::collections::BTreeSet;

impl World {
    /// Starts an incarnation on the stores that `self.node` holds (none: empty ones).
    pub(crate) fn start_node(&mut self) -> Result<(), Broken> {
        let shards = self.disk.shards.len();
        let mut stores = std::mem::take(&mut self.node.stores);
        stores.resize_with(shards, MemoryStore::default);
        let mut node = Node::new(self.node.incarnation + 1, shards);
        self.say(format_args!("start incarnation {}", node.incarnation));
        for (shard, store) in stores.iter_mut().enumerate() {
            self.take_over(shard, store, node.incarnation)?;
        }
        if !self.settling && self.dice.chance(60) {
            self.count("crash while starting");
            self.node = node;
            self.node.stores = stores;
            return self.restart();
        }
        let mut first = Vec::new();
        for (shard, store) in stores.iter().enumerate() {
            let (last, mut out) = (self.disk.last(shard), Vec::new());
            let (id, map) = (ShardId(shard as u16), self.cast.map);
            let core =
                ShardCore::open_mutated(id, map, last, self.now, store, self.mutation, &mut out);
            node.cores
                .push(core.map_err(|error| format!("open: {error:?}"))?);
            first.push(out);
        }
        node.stores = stores;
        self.node = node;
        for (shard, out) in first.into_iter().enumerate() {
            self.carry(shard, out)?;
        }
        Ok(())
    }

    /// The epoch record, then the replay through it.
    fn take_over(
        &mut self,
        shard: usize,
        store: &mut MemoryStore,
        incarnation: u64,
    ) -> Result<(), Broken> {
        if self.mutation != Some(Mutation::FenceSkipped) {
            let seq = self.disk.last(shard).next();
            let record = epoch_record(incarnation, self.now);
            if !self.disk.land(shard, seq, &record, incarnation)? {
                return Err("an epoch record does not land".to_owned());
            }
        }
        let replay = self.disk.records(shard, store.applied());
        store
            .apply(&replay)
            .map_err(|error| format!("replay: {error:?}"))
    }

    /// Everything in memory is gone; of what was being written, a part is there.
    pub(crate) fn crash(&mut self) -> Result<(), Broken> {
        self.count("crash");
        self.say(format_args!("crash"));
        self.land_some()?;
        self.restart()
    }

    /// Some first part of the batch in flight reaches the disk, and nobody hears of it.
    fn land_some(&mut self) -> Result<(), Broken> {
        let batch = std::mem::take(&mut self.node.journal.in_flight);
        let landed = self.dice.below(batch.len() + 1);
        if landed > 0 {
            self.count("landed unheard");
        }
        for append in batch.into_iter().take(landed) {
            self.land(&append)?;
        }
        Ok(())
    }

    fn land(&mut self, append: &Append) -> Result<bool, Broken> {
        let Append { shard, seq, record } = append;
        self.disk.land(*shard, *seq, record, self.node.incarnation)
    }

    /// A new incarnation on what the disk holds.
    fn restart(&mut self) -> Result<(), Broken> {
        self.lose_clients();
        self.node.stores = self.stores_after_crash()?;
        self.pass_time_between_lives();
        self.check_money()?;
        self.start_node()
    }

    /// The store is written without flushing: each shard is somewhere after its checkpoint.
    fn stores_after_crash(&mut self) -> Result<Vec<MemoryStore>, Broken> {
        let mut stores = Vec::new();
        for shard in 0..self.disk.shards.len() {
            let low = self.disk.checkpoint_seq(shard).0;
            let high = self.node.stores[shard].applied().0.max(low);
            let until = Seq(self.dice.between(low, high));
            stores.push(self.disk.store_at(shard, until)?);
        }
        Ok(stores)
    }

    fn pass_time_between_lives(&mut self) {
        let ahead = [0, 1, 50, 2_000, 40_000];
        self.now.0 += *self.dice.pick(&ahead);
        if self.dice.chance(100) {
            // Another machine's clock may be behind.
            self.now.0 -= 20;
        }
    }

    /// Another incarnation takes over while this one is merely asleep.
    pub(crate) fn pause_and_take_over(&mut self) -> Result<(), Broken> {
        self.count("take-over");
        self.say(format_args!("take-over"));
        let stores = self.stores_after_crash()?;
        let mut fresh = Node::new(self.node.incarnation, self.disk.shards.len());
        fresh.stores = stores;
        let asleep = std::mem::replace(&mut self.node, fresh);
        let wakes_in = self.dice.between(1, 40) as u32;
        self.zombies.push((wakes_in, asleep));
        self.start_node()
    }

    /// The sleeper's last writes arrive, as far as the journal takes them; then it is gone.
    pub(crate) fn wake_zombie(&mut self, zombie: Node) -> Result<(), Broken> {
        self.say(format_args!("incarnation {} wakes", zombie.incarnation));
        let present = std::mem::replace(&mut self.node, zombie);
        let result = self.last_words();
        self.lose_clients();
        self.node = present;
        result
    }

    fn last_words(&mut self) -> Result<(), Broken> {
        for (shard, seq) in std::mem::take(&mut self.node.journal.acks) {
            let mut out = Vec::new();
            self.node.cores[shard].durable(seq, self.now, &mut out);
            self.carry_replies(out)?;
        }
        let mut appends = std::mem::take(&mut self.node.journal.in_flight);
        appends.extend(std::mem::take(&mut self.node.journal.pending));
        // A provider takes nothing that was pipelined behind a refused append, although its
        // sequence may fit again once the new owner has written.
        let mut refused = BTreeSet::new();
        for append in appends {
            let (mut out, core) = (Vec::new(), append.shard);
            if !refused.contains(&core) && self.land(&append)? {
                self.count("zombie landed");
                self.say(format_args!("zombie lands {core}/{}", append.seq.0));
                self.node.cores[core].durable(append.seq, self.now, &mut out);
            } else {
                self.count("zombie refused");
                refused.insert(core);
                self.node.cores[core].append_failed(&failed(), self.now, &mut out);
            }
            self.carry_replies(out)?;
        }
        Ok(())
    }

    fn carry_replies(&mut self, actions: Actions) -> Result<(), Broken> {
        for action in actions {
            if let Action::Reply { to, outcome } = action {
                self.reply(to, outcome)?;
            }
        }
        Ok(())
    }

    /// The journal takes the next batch, or the one in flight ends.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        if self.node.journal.failed {
            return self.refuse_appends();
        }
        if self.node.journal.in_flight.is_empty() {
            let waiting = self.node.journal.pending.len();
            let size = 1 + self.dice.below(waiting);
            let batch = self.node.journal.pending.drain(..size.min(waiting));
            self.node.journal.in_flight = batch.collect();
            return Ok(());
        }
        if !self.settling && self.dice.chance(self.pace.fail) {
            self.count("failed flush");
            self.say(format_args!("flush fails"));
            self.land_some()?;
            return self.fail_journal();
        }
        for append in std::mem::take(&mut self.node.journal.in_flight) {
            if !self.land(&append)? {
                self.say(format_args!("fenced at {}/{}", append.shard, append.seq.0));
                return self.fail_journal();
            }
            self.node.journal.acks.insert(append.shard, append.seq);
        }
        let acks = self.node.journal.acks.clone();
        self.say(format_args!("flushed {acks:?}"));
        Ok(())
    }

    fn fail_journal(&mut self) -> Result<(), Broken> {
        self.node.journal.failed = true;
        let restart_in = self.dice.between(0, 30) as u32;
        self.node.restart_in = Some(restart_in);
        self.node.journal.pending.clear();
        self.fail_all_shards()
    }

    fn refuse_appends(&mut self) -> Result<(), Broken> {
        self.node.journal.pending.clear();
        self.fail_all_shards()
    }

    fn fail_all_shards(&mut self) -> Result<(), Broken> {
        for shard in 0..self.node.cores.len() {
            let mut out = Vec::new();
            self.node.cores[shard].append_failed(&failed(), self.now, &mut out);
            self.carry(shard, out)?;
        }
        Ok(())
    }

    /// SIGTERM: no new work, a moment for what runs, then the end.
    pub(crate) fn drain(&mut self) {
        self.count("graceful stop");
        self.say(format_args!("drain"));
        self.node.cores.iter_mut().for_each(ShardCore::drain);
        self.node.restart_in = Some(self.dice.between(0, 60) as u32);
        self.node.graceful = true;
    }

    /// The node that failed or drained ends, and another starts.
    pub(crate) fn end_and_restart(&mut self) -> Result<(), Broken> {
        if !self.node.graceful || self.node.journal.failed {
            return self.crash();
        }
        let error = EddyError::new(ErrorCode::ShuttingDown, "the node stops");
        for shard in 0..self.node.cores.len() {
            let mut out = Vec::new();
            self.node.cores[shard].stop(&error, &mut out);
            self.carry(shard, out)?;
        }
        let mut appends = std::mem::take(&mut self.node.journal.in_flight);
        appends.extend(std::mem::take(&mut self.node.journal.pending));
        for append in appends {
            if !self.land(&append)? {
                break; // somebody else has the shard
            }
        }
        self.restart()
    }
}

fn failed() -> EddyError {
    EddyError::new(ErrorCode::JournalFailed, "the simulated journal failed")
}
