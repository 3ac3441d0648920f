//! The simulated disk: each shard's durable journal, the store with its checkpoint, and indexes of
//! what is durable, which the checks ask.

use crate::cast::{Cast, Kind, OPENING_BALANCE, Op, decode};
use bytes::Bytes;
use eddy_core::model::MemoryStore;
use eddy_core::{Change, Record, SendRow, StoreView, Value};
use eddy_types::{AgentId, Seq, ShardId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One shard's part of the disk.
#[derive(Debug, Default)]
pub(crate) struct DiskShard {
    /// Durable records, from sequence 1, each with the incarnation that wrote it.
    records: Vec<(Arc<Record>, u64)>,
    /// All durable records applied: what the journal says.
    pub(crate) durable: MemoryStore,
    /// What of the store was flushed last.
    checkpoint: MemoryStore,
}

/// Everything that survives a crash.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) shards: Vec<DiskShard>,
    /// The newest durable version of each agent.
    pub(crate) versions: BTreeMap<AgentId, i64>,
    /// Every send that is durable at its source: source, destination, number.
    pub(crate) sent: BTreeSet<(ShardId, ShardId, u64)>,
    /// Every delivery whose effect is durable, in the same terms.
    pub(crate) received: BTreeSet<(ShardId, ShardId, u64)>,
}

impl Disk {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            shards: (0..shards).map(|_| DiskShard::default()).collect(),
            versions: BTreeMap::new(),
            sent: BTreeSet::new(),
            received: BTreeSet::new(),
        }
    }

    pub(crate) fn last(&self, shard: usize) -> Seq {
        Seq(self.shards[shard].records.len() as u64)
    }

    /// A record reaches the disk. Refused (`false`) when its sequence is taken: a compare-and-set.
    pub(crate) fn land(
        &mut self,
        shard: usize,
        seq: Seq,
        bytes: &Bytes,
        writer: u64,
    ) -> Result<bool, String> {
        if seq != self.last(shard).next() {
            return Ok(false);
        }
        let record =
            Arc::new(Record::decode(bytes).map_err(|error| format!("a record: {error:?}"))?);
        self.index(ShardId(shard as u16), &record);
        let disk = &mut self.shards[shard];
        disk.durable
            .apply(&[(seq, record.clone())])
            .map_err(|error| format!("the journal of shard {shard}: {error:?}"))?;
        disk.records.push((record, writer));
        Ok(true)
    }

    fn index(&mut self, shard: ShardId, record: &Record) {
        for change in &record.changes {
            match change {
                Change::StatePut { agent, key, value } if key == "ver" => {
                    self.versions.insert(agent.clone(), number(value));
                }
                Change::AgentDeleted { agent } => {
                    self.versions.remove(agent);
                }
                Change::OutboxPut { dest, seq, .. } => {
                    self.sent.insert((shard, *dest, *seq));
                }
                Change::InboxMark { source, seq, .. } => {
                    self.received.insert((*source, shard, *seq));
                }
                _ => {}
            }
        }
    }

    /// Durable records of a shard after `after`.
    pub(crate) fn records(&self, shard: usize, after: Seq) -> Vec<(Seq, Arc<Record>)> {
        let numbered = (1u64..).map(Seq).zip(&self.shards[shard].records);
        numbered
            .skip(after.0 as usize)
            .map(|(seq, (record, _))| (seq, record.clone()))
            .collect()
    }

    /// The store is flushed as it is.
    pub(crate) fn checkpoint(&mut self, shard: usize, store: &MemoryStore) {
        self.shards[shard].checkpoint = store.clone();
    }

    /// The store as a crash may leave it: at `until` or at its checkpoint, whichever is later.
    pub(crate) fn store_at(&self, shard: usize, until: Seq) -> Result<MemoryStore, String> {
        let mut store = self.shards[shard].checkpoint.clone();
        let mut records = self.records(shard, store.applied());
        records.retain(|(seq, _)| *seq <= until);
        store
            .apply(&records)
            .map_err(|error| format!("{error:?}"))?;
        Ok(store)
    }

    pub(crate) fn checkpoint_seq(&self, shard: usize) -> Seq {
        self.shards[shard].checkpoint.applied()
    }

    /// Epochs count up, and an owner writes nothing once a later one has begun.
    pub(crate) fn check_owners(&self) -> Result<(), String> {
        for (number, shard) in self.shards.iter().enumerate() {
            let (mut epoch, mut owner) = (0, 0);
            for (place, (record, writer)) in shard.records.iter().enumerate() {
                if *writer < owner {
                    return Err(format!(
                        "record {} of shard {number} is by owner {writer}, after one of {owner}",
                        place + 1
                    ));
                }
                owner = *writer;
                for change in &record.changes {
                    if let Change::Epoch { epoch: next } = change {
                        if *next <= epoch {
                            return Err(format!("epoch {next} follows {epoch} in shard {number}"));
                        }
                        epoch = *next;
                    }
                }
            }
        }
        Ok(())
    }

    /// All money: in accounts, on its way, and in dead letters.
    pub(crate) fn money(&self, cast: &Cast) -> Result<i64, String> {
        let mut total = 0;
        for account in cast.accounts() {
            total += self.state(cast, account, "bal")?.unwrap_or(OPENING_BALANCE);
        }
        for (source, shard) in self.shards.iter().enumerate() {
            let outbox = shard
                .durable
                .outbox()
                .map_err(|error| format!("{error:?}"))?;
            for (dest, seq, send) in outbox {
                if !self.received.contains(&(ShardId(source as u16), dest, seq)) {
                    total += amount(&send)?;
                }
            }
            for letter in shard.durable.dead_letters().values() {
                total += amount_of(&letter.argument)?;
            }
        }
        Ok(total)
    }

    /// A number in an agent's durable state.
    pub(crate) fn state(
        &self,
        cast: &Cast,
        agent: &AgentId,
        key: &str,
    ) -> Result<Option<i64>, String> {
        let shard = usize::from(cast.map.shard_of_agent(agent).0);
        let value = self.shards[shard].durable.state(agent, key);
        Ok(value
            .map_err(|error| format!("{error:?}"))?
            .map(|value| number(&value)))
    }

    /// All of an agent's durable state.
    pub(crate) fn states(
        &self,
        cast: &Cast,
        agent: &AgentId,
        prefix: &str,
    ) -> Result<Vec<(String, i64)>, String> {
        let shard = usize::from(cast.map.shard_of_agent(agent).0);
        let rows = self.shards[shard]
            .durable
            .state_range(agent, prefix, None, 100_000);
        let rows = rows.map_err(|error| format!("{error:?}"))?;
        Ok(rows
            .into_iter()
            .map(|(key, value)| (key, number(&value)))
            .collect())
    }

    /// Whether a version of an agent is durable. Only kinds whose version never starts again count.
    pub(crate) fn has_version(&self, agent: &AgentId, kind: Kind, version: i64) -> bool {
        !matches!(kind, Kind::Counter | Kind::Account)
            || version == 0
            || self
                .versions
                .get(agent)
                .is_some_and(|durable| *durable >= version)
    }
}

/// An epoch record.
pub(crate) fn epoch_record(epoch: u64, at: Timestamp) -> Bytes {
    let changes = vec![Change::Epoch { epoch }];
    Record { at, changes }
        .encode()
        .expect("an epoch record is small")
}

fn amount(send: &SendRow) -> Result<i64, String> {
    amount_of(&send.argument)
}

fn amount_of(argument: &[u8]) -> Result<i64, String> {
    let script = decode(argument)?;
    Ok(script
        .iter()
        .map(|op| match op {
            Op::Take { amount, .. } => *amount,
            _ => 0,
        })
        .sum())
}

/// A number as guests keep it.
pub(crate) fn number(value: &Value) -> i64 {
    let (Value::Json(bytes) | Value::Bytes(bytes)) = value;
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("guests write numbers")
}
