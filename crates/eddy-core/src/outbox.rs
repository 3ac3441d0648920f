//! Sends on their way from this shard. One delivery per (sender, target agent) is in flight at a
//! time, which keeps their order; a failing one backs off. The receiver says when it is given up: only
//! there can it be told from one that took effect (see `shard/letters.rs`).

use crate::record::{SendRow, Sender};
use crate::share::{Amount, Held};
use eddy_types::limits::{MAX_BACKOFF, MAX_OUTBOX, MAX_WAITING_BYTES};
use eddy_types::{AgentId, EddyError, HashMap, RetryPolicy, Seq, ShardId, TenantId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A send is given to the receiver again when nothing was heard of it for so long.
const RESEND_AFTER: Duration = Duration::from_secs(30);

/// Settled sends that one record tells of at most.
const NEWS_PER_RECORD: usize = 4096;

/// Address of a send: its destination and its number among the sends from here to there.
pub(crate) type SendAt = (ShardId, u64);

/// A delivery to make now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The shard it comes from.
    pub source: ShardId,
    /// The shard it goes to.
    pub dest: ShardId,
    /// Its number.
    pub seq: u64,
    /// Every number below this one is settled.
    pub floor: u64,
    /// Which attempt this is, from 1, as far as the source remembers.
    pub attempt: u32,
    /// The send.
    pub send: SendRow,
}

/// How a delivery ended, as the receiver tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It took effect and is durable there; or it was the last attempt, and the dead letter is.
    Done,
    /// It failed; it counts as an attempt, and is not the last.
    Failed {
        /// Why.
        error: EddyError,
        /// How the receiver wants it tried again.
        retries: RetryPolicy,
    },
    /// The receiver had no room for it; it does not count.
    Refused(EddyError),
}

#[derive(Debug)]
struct Entry {
    send: SendRow,
    attempts: u32,
    refusals: u32,
    /// Not to be delivered before its record is durable.
    record: Seq,
    /// When to look at it again: end of the pause, or of the patience with the receiver.
    wake: Option<Timestamp>,
}

/// The sending side of sends.
#[derive(Debug)]
pub(crate) struct Outbox {
    source: ShardId,
    last: BTreeMap<ShardId, u64>,
    entries: BTreeMap<SendAt, Entry>,
    /// What the entries hold, by tenant.
    held: Held,
    lanes: HashMap<(Sender, AgentId), VecDeque<SendAt>>,
    wakes: BTreeSet<(Timestamp, SendAt)>,
    undelivered: VecDeque<(Seq, SendAt)>,
    settled: Vec<SendAt>,
}

impl Outbox {
    pub(crate) fn load(
        source: ShardId,
        last: Vec<(ShardId, u64)>,
        rows: Vec<(ShardId, u64, SendRow)>,
    ) -> Self {
        let mut outbox = Self {
            source,
            last: last.into_iter().collect(),
            entries: BTreeMap::new(),
            held: Held::default(),
            lanes: HashMap::default(),
            wakes: BTreeSet::new(),
            undelivered: VecDeque::new(),
            settled: Vec::new(),
        };
        let mut rows = rows;
        rows.sort_by_key(|(dest, seq, _)| (*dest, *seq));
        for (dest, seq, send) in rows {
            outbox.add((dest, seq), send, Seq(0));
        }
        outbox
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sends of a tenant that are not settled.
    pub(crate) fn len_of(&self, tenant: &TenantId) -> usize {
        self.held.of(tenant).entries
    }

    pub(crate) fn has_room_for(&self, tenant: &TenantId, sends: usize) -> bool {
        const MOST: Amount = Amount {
            entries: MAX_OUTBOX,
            bytes: MAX_WAITING_BYTES,
        };
        let more = Amount {
            entries: sends,
            bytes: 0,
        };
        self.held.has_room(tenant, more, MOST)
    }

    /// The number of the next send to `dest`.
    pub(crate) fn allocate(&mut self, dest: ShardId) -> u64 {
        let last = self.last.entry(dest).or_default();
        *last += 1;
        *last
    }

    /// A send was appended in `record`.
    pub(crate) fn add(&mut self, at: SendAt, send: SendRow, record: Seq) {
        let lane = (send.from.clone(), send.to.clone());
        self.lanes.entry(lane).or_default().push_back(at);
        self.undelivered.push_back((record, at));
        self.held.add(send.to.tenant(), send.argument.len());
        let entry = Entry {
            send,
            attempts: 0,
            refusals: 0,
            record,
            wake: None,
        };
        self.entries.insert(at, entry);
    }

    /// Deliveries that may leave now that `durable` is durable.
    pub(crate) fn release(&mut self, durable: Seq, now: Timestamp) -> Vec<Delivery> {
        let mut released = Vec::new();
        while let Some((_, at)) = self
            .undelivered
            .pop_front_if(|(record, _)| *record <= durable)
        {
            if self.is_head(at) {
                released.extend(self.start(at, now));
            }
        }
        released
    }

    /// Deliveries whose pause or patience has ended.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Delivery> {
        let mut due = Vec::new();
        while let Some((_, at)) = self.wakes.first().copied().filter(|(wake, _)| *wake <= now) {
            due.extend(self.start(at, now));
        }
        due
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(wake, _)| *wake)
    }

    /// A delivery is settled. Answers with the next one of its lane.
    pub(crate) fn settle(&mut self, at: SendAt, durable: Seq, now: Timestamp) -> Option<Delivery> {
        let entry = self.remove(at)?;
        self.settled.push(at);
        let lane = (entry.send.from, entry.send.to);
        let next = self.lanes.get(&lane)?.front().copied()?;
        let ready = self
            .entries
            .get(&next)
            .is_some_and(|entry| entry.record <= durable);
        if ready { self.start(next, now) } else { None }
    }

    /// A delivery failed: it is tried again after a pause.
    pub(crate) fn fail(&mut self, at: SendAt, retries: RetryPolicy, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&at) else {
            return;
        };
        entry.attempts += 1;
        let pause = retries.pause_after(entry.attempts);
        self.sleep(at, now.plus(pause));
    }

    /// The receiver had no room for a delivery: it is tried again until it has.
    pub(crate) fn refused(&mut self, at: SendAt, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&at) else {
            return;
        };
        entry.refusals += 1;
        let policy = RetryPolicy {
            max_backoff: MAX_BACKOFF,
            ..RetryPolicy::default()
        };
        let pause = policy.pause_after(entry.refusals);
        self.sleep(at, now.plus(pause));
    }

    /// Settled sends that no record tells of yet, as many as one record should carry.
    pub(crate) fn take_settled(&mut self) -> Vec<SendAt> {
        let later = self
            .settled
            .split_off(self.settled.len().min(NEWS_PER_RECORD));
        std::mem::replace(&mut self.settled, later)
    }

    /// They are told of later after all.
    pub(crate) fn put_back_settled(&mut self, settled: Vec<SendAt>) {
        self.settled.extend(settled);
    }

    /// Takes the newest number back that `allocate` gave: no record carries it.
    pub(crate) fn unallocate(&mut self, dest: ShardId) {
        if let Some(last) = self.last.get_mut(&dest) {
            *last -= 1;
        }
    }

    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    fn is_head(&self, at: SendAt) -> bool {
        let Some(entry) = self.entries.get(&at) else {
            return false;
        };
        let lane = (entry.send.from.clone(), entry.send.to.clone());
        self.lanes.get(&lane).and_then(VecDeque::front) == Some(&at)
    }

    fn start(&mut self, at: SendAt, now: Timestamp) -> Option<Delivery> {
        self.sleep(at, now.plus(RESEND_AFTER));
        let (dest, seq) = at;
        let floor = self
            .entries
            .range((dest, 0)..)
            .next()
            .map_or(seq, |((_, lowest), _)| *lowest);
        let entry = self.entries.get(&at)?;
        let (send, attempt) = (entry.send.clone(), entry.attempts + 1);
        Some(Delivery {
            source: self.source,
            dest,
            seq,
            floor: floor.min(seq),
            attempt,
            send,
        })
    }

    fn sleep(&mut self, at: SendAt, until: Timestamp) {
        let Some(entry) = self.entries.get_mut(&at) else {
            return;
        };
        if let Some(old) = entry.wake.replace(until) {
            self.wakes.remove(&(old, at));
        }
        self.wakes.insert((until, at));
    }

    fn remove(&mut self, at: SendAt) -> Option<Entry> {
        let entry = self.entries.remove(&at)?;
        let send = &entry.send;
        self.held.remove(send.to.tenant(), send.argument.len());
        if let Some(wake) = entry.wake {
            self.wakes.remove(&(wake, at));
        }
        let lane = (entry.send.from.clone(), entry.send.to.clone());
        if let Some(queue) = self.lanes.get_mut(&lane) {
            // The head most of the time; a lane may be long.
            if queue.pop_front_if(|head| *head == at).is_none() {
                queue.retain(|other| *other != at);
            }
            if queue.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        Some(entry)
    }
}
