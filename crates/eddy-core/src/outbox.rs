//! Sends on their way from this shard. One delivery per (sender, target agent) is in flight at a
//! time, which keeps their order; a failing one backs off and then becomes a dead letter.

use crate::record::{SendRow, Sender};
use eddy_types::limits::{MAX_BACKOFF, MAX_OUTBOX};
use eddy_types::{AgentId, EddyError, RetryPolicy, Seq, ShardId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// A send is given to the receiver again when nothing was heard of it for so long.
const RESEND_AFTER: Duration = Duration::from_secs(30);

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
    /// The send.
    pub send: SendRow,
}

/// How a delivery ended, as the receiver tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It took effect and is durable there.
    Done,
    /// It failed; it counts as an attempt.
    Failed {
        /// Why.
        error: EddyError,
        /// How the receiver wants it tried again.
        retries: RetryPolicy,
    },
    /// The receiver had no room for it; it does not count.
    Refused(EddyError),
}

/// What the source does about a failed delivery.
pub(crate) enum Verdict {
    /// It will be tried again by itself.
    Again,
    /// It is given up.
    GiveUp {
        send: SendRow,
        error: EddyError,
        attempts: u32,
    },
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
    /// Given up, in a record that is not durable yet.
    buried: bool,
}

/// The sending side of sends.
#[derive(Debug)]
pub(crate) struct Outbox {
    source: ShardId,
    last: BTreeMap<ShardId, u64>,
    entries: BTreeMap<SendAt, Entry>,
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
            lanes: HashMap::new(),
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

    pub(crate) fn has_room_for(&self, sends: usize) -> bool {
        self.entries.len() + sends <= MAX_OUTBOX
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
        let entry = Entry {
            send,
            attempts: 0,
            refusals: 0,
            record,
            wake: None,
            buried: false,
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
        if self.entries.get(&at)?.buried {
            return None;
        }
        let entry = self.remove(at)?;
        self.settled.push(at);
        self.start_lane(entry.send, durable, now)
    }

    /// The delivery at the head of the lane that `send` was in.
    fn start_lane(&mut self, send: SendRow, durable: Seq, now: Timestamp) -> Option<Delivery> {
        let lane = (send.from, send.to);
        let next = self.lanes.get(&lane)?.front().copied()?;
        let ready = self
            .entries
            .get(&next)
            .is_some_and(|entry| entry.record <= durable);
        if ready { self.start(next, now) } else { None }
    }

    /// A send is given up in a record that is not durable yet. It is not delivered any more, but
    /// the floor must not pass it: the receiver would take it for settled.
    pub(crate) fn bury(&mut self, at: SendAt) {
        if let Some(entry) = self.entries.get_mut(&at) {
            entry.buried = true;
            if let Some(wake) = entry.wake.take() {
                self.wakes.remove(&(wake, at));
            }
        }
    }

    /// The record that gave a send up is durable. Answers with the next one of its lane.
    pub(crate) fn forget(&mut self, at: SendAt, durable: Seq, now: Timestamp) -> Option<Delivery> {
        let entry = self.remove(at)?;
        self.start_lane(entry.send, durable, now)
    }

    /// A delivery failed.
    pub(crate) fn fail(
        &mut self,
        at: SendAt,
        error: EddyError,
        retries: RetryPolicy,
        now: Timestamp,
    ) -> Option<Verdict> {
        let entry = self.entries.get_mut(&at).filter(|entry| !entry.buried)?;
        entry.attempts += 1;
        let attempts = entry.attempts;
        if attempts >= retries.attempts {
            let send = entry.send.clone();
            return Some(Verdict::GiveUp {
                send,
                error,
                attempts,
            });
        }
        self.sleep(at, now.plus(retries.pause_after(attempts)));
        Some(Verdict::Again)
    }

    /// The receiver had no room for a delivery: it is tried again until it has.
    pub(crate) fn refused(&mut self, at: SendAt, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&at).filter(|entry| !entry.buried) else {
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

    /// Settled sends that no record tells of yet.
    pub(crate) fn take_settled(&mut self) -> Vec<SendAt> {
        std::mem::take(&mut self.settled)
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
        let send = self.entries.get(&at)?.send.clone();
        Some(Delivery {
            source: self.source,
            dest,
            seq,
            floor: floor.min(seq),
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
        if let Some(wake) = entry.wake {
            self.wakes.remove(&(wake, at));
        }
        let lane = (entry.send.from.clone(), entry.send.to.clone());
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.retain(|other| *other != at);
            if queue.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        Some(entry)
    }
}
