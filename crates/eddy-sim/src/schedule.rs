//! Which step comes next. Each seed has its own pace: some have slow disks, some many faults.

use crate::dice::Dice;
use crate::node::Parcel;
use crate::world::{Broken, World};
use std::collections::VecDeque;

/// How often things happen in this run: weights, and chances per mille.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    clients: u32,
    guests: u32,
    net: u32,
    flush: u32,
    acks: u32,
    apply: u32,
    time: u32,
    /// Crashes, take-overs and stops, per step.
    crash: u32,
    /// A guest fails, per step of it.
    pub(crate) chaos: u32,
    /// A flush fails, per flush.
    pub(crate) fail: u32,
    long_pauses: bool,
}

impl Pace {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        Self {
            clients: *dice.pick(&[10, 25, 40]),
            guests: *dice.pick(&[20, 30, 50]),
            net: *dice.pick(&[20, 30, 50]),
            flush: *dice.pick(&[4, 12, 30]),
            acks: *dice.pick(&[5, 20]),
            apply: *dice.pick(&[2, 10, 20]),
            time: *dice.pick(&[3, 8]),
            crash: *dice.pick(&[0, 3, 8, 20]),
            chaos: *dice.pick(&[0, 10, 40]),
            fail: *dice.pick(&[0, 0, 30]),
            long_pauses: dice.chance(150),
        }
    }
}

impl World {
    pub(crate) fn random_step(&mut self) -> Result<(), Broken> {
        self.count_down()?;
        if self.dice.chance(self.pace.crash) {
            return self.fault();
        }
        let pace = self.pace;
        let weights = [pace.clients, pace.time, 8];
        let inner = self.inner_weights();
        let total: Vec<u32> = inner.into_iter().chain(weights).collect();
        match self.dice.weighted(&total) {
            Some(place @ 0..=4) => self.inner_step(place),
            Some(5) => {
                let client = self.dice.below(self.clients.len());
                self.client_step(client)
            }
            Some(6) => self.pass_time(),
            _ => self.odd_job(),
        }
    }

    /// Weights of what the node can do by itself; all 0 when it is still.
    fn inner_weights(&self) -> [u32; 5] {
        let (node, pace) = (&self.node, self.pace);
        let journal = &node.journal;
        let flush = !journal.pending.is_empty() || !journal.in_flight.is_empty();
        let apply = !node.applied.is_empty() || !node.apply.iter().all(VecDeque::is_empty);
        let guests = node.runs.values().any(|run| run.is_ready());
        let when = |possible: bool, weight: u32| if possible { weight } else { 0 };
        [
            when(guests, pace.guests),
            when(!node.net.is_empty(), pace.net),
            when(flush, pace.flush),
            when(!journal.acks.is_empty(), pace.acks),
            when(apply, pace.apply),
        ]
    }

    /// One step of the node's own; `false` when it is still.
    pub(crate) fn step_inside(&mut self) -> Result<bool, Broken> {
        let weights = self.inner_weights();
        match self.dice.weighted(&weights) {
            Some(place) => self.inner_step(place).map(|()| true),
            None => Ok(false),
        }
    }

    fn inner_step(&mut self, place: usize) -> Result<(), Broken> {
        match place {
            0 => {
                let ready = self.node.ready();
                let run = *self.dice.pick(&ready);
                self.advance(run)
            }
            1 => {
                let place = self.dice.below(self.node.net.len());
                let parcel = self.node.net.swap_remove(place);
                self.arrive(parcel)
            }
            2 => self.flush(),
            3 => self.acknowledge(),
            _ => self.apply(),
        }
    }

    fn arrive(&mut self, parcel: Parcel) -> Result<(), Broken> {
        let (now, mut out) = (self.now, Vec::new());
        let node = &mut self.node;
        let shard = match parcel {
            Parcel::Message(shard, message) => {
                let shard = usize::from(shard.0);
                node.cores[shard].deliver(*message, now, &node.stores[shard], &mut out);
                shard
            }
            Parcel::Deliver(delivery) => {
                let shard = usize::from(delivery.dest.0);
                node.cores[shard].deliver_send(*delivery, now, &node.stores[shard], &mut out);
                shard
            }
            Parcel::Settle {
                source,
                dest,
                seq,
                result,
            } => {
                let shard = usize::from(source.0);
                node.cores[shard].delivery_ended(dest, seq, result, now, &mut out);
                shard
            }
            Parcel::Probe(shard, probe) => {
                let shard = usize::from(shard.0);
                node.cores[shard].probe(probe, &mut out);
                shard
            }
            Parcel::Abort(shard, agent, call) => {
                let shard = usize::from(shard.0);
                node.cores[shard].abort_call(&agent, call, &mut out);
                shard
            }
            Parcel::Cancel(shard, agent, call) => {
                let shard = usize::from(shard.0);
                node.cores[shard].cancel_call(&agent, call, &mut out);
                shard
            }
            Parcel::Return { run, slot, outcome } => return self.call_returns(run, slot, outcome),
        };
        self.carry(shard, out)
    }

    fn acknowledge(&mut self) -> Result<(), Broken> {
        let place = self.dice.below(self.node.journal.acks.len());
        let (shard, seq) = self
            .node
            .journal
            .acks
            .iter()
            .nth(place)
            .map(|(shard, seq)| (*shard, *seq))
            .expect("drawn below the length");
        self.node.journal.acks.remove(&shard);
        let mut out = Vec::new();
        self.say(format_args!("durable {shard}/{}", seq.0));
        self.node.cores[shard].durable(seq, self.now, &mut out);
        self.carry(shard, out)
    }

    /// The store takes some records, or the shard hears that it has.
    fn apply(&mut self) -> Result<(), Broken> {
        if !self.node.applied.is_empty() && self.dice.chance(500) {
            let (shard, seq) = self.node.applied.pop_first().expect("it is not empty");
            self.node.cores[shard].applied(seq);
            return Ok(());
        }
        let busy: Vec<usize> = (0..self.node.apply.len())
            .filter(|shard| !self.node.apply[*shard].is_empty())
            .collect();
        if busy.is_empty() {
            return Ok(());
        }
        let shard = *self.dice.pick(&busy);
        let queue = &mut self.node.apply[shard];
        let some = 1 + self.dice.below(queue.len());
        let records: Vec<_> = queue.drain(..some.min(queue.len())).collect();
        let store = &mut self.node.stores[shard];
        store
            .apply(&records)
            .map_err(|error| format!("the store of shard {shard}: {error:?}"))?;
        self.node.applied.insert(shard, store.applied());
        Ok(())
    }

    fn pass_time(&mut self) -> Result<(), Broken> {
        let mut by = *self.dice.pick(&[0, 1, 5, 50, 300]);
        if self.pace.long_pauses && self.dice.chance(50) {
            by = *self.dice.pick(&[20_000, 70_000, 900_000]);
        }
        self.now.0 += by;
        self.tick()
    }

    /// Wakes the shards that have something due.
    pub(crate) fn tick(&mut self) -> Result<(), Broken> {
        for shard in 0..self.node.cores.len() {
            if self.node.cores[shard].next_wake() > self.now {
                continue;
            }
            let (node, mut out) = (&mut self.node, Vec::new());
            node.cores[shard]
                .tick(self.now, &node.stores[shard], &mut out)
                .map_err(|error| format!("tick: {error:?}"))?;
            let now = self.now.0;
            self.say(format_args!("tick {shard} at {now}"));
            self.carry(shard, out)?;
        }
        Ok(())
    }

    fn fault(&mut self) -> Result<(), Broken> {
        match self.dice.weighted(&[6, 3, 2]) {
            Some(0) => self.crash(),
            Some(1) if self.node.restart_in.is_none() => self.pause_and_take_over(),
            Some(2) if self.node.restart_in.is_none() => {
                self.drain();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nodes that are to end or to wake do so in their time.
    fn count_down(&mut self) -> Result<(), Broken> {
        let mut woken = Vec::new();
        for (place, (wakes_in, _)) in self.zombies.iter_mut().enumerate() {
            *wakes_in = wakes_in.saturating_sub(1);
            if *wakes_in == 0 {
                woken.push(place);
            }
        }
        for place in woken.into_iter().rev() {
            let (_, zombie) = self.zombies.remove(place);
            self.wake_zombie(zombie)?;
        }
        match &mut self.node.restart_in {
            Some(0) => self.end_and_restart(),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn odd_job(&mut self) -> Result<(), Broken> {
        match self.dice.below(4) {
            0 => {
                let shard = self.dice.below(self.node.stores.len());
                self.disk.checkpoint(shard, &self.node.stores[shard]);
                Ok(())
            }
            1 => {
                self.passivate();
                Ok(())
            }
            2 => self.check_money(),
            _ => self.redrive(),
        }
    }

    /// An idle agent gives its instance up.
    fn passivate(&mut self) {
        let agents: Vec<_> = self.node.instances.keys().cloned().collect();
        if agents.is_empty() {
            return;
        }
        let agent = self.dice.pick(&agents).clone();
        let shard = usize::from(self.cast.map.shard_of_agent(&agent).0);
        if self.node.cores[shard].is_idle(&agent) {
            self.count("passivated");
            self.node.instances.remove(&agent);
        }
    }
}
