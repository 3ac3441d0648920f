//! A node in memory: carries actions out, and flushes when it is told to.

use bytes::Bytes;
use eddy_core::model::MemoryStore;
use eddy_core::*;
use eddy_types::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub type Core = ShardCore<u32>;

pub struct World {
    pub map: ShardMap,
    pub now: Timestamp,
    pub cores: Vec<Core>,
    pub stores: Vec<MemoryStore>,
    /// Appended and not flushed: they are lost by a crash.
    unflushed: Vec<VecDeque<Seq>>,
    pub holding: bool,
    /// Deliveries are kept here instead of carried out, when some.
    pub held: Option<Vec<Delivery>>,
    pub runs: VecDeque<TurnStart>,
    pub functions: VecDeque<FunctionStart>,
    pub begun: Vec<(u32, MessageId)>,
    pub dropped: Vec<AgentId>,
    pub records: usize,
    pub ended: Vec<(MessageId, Option<Outcome>)>,
    replies: BTreeMap<u32, Outcome>,
    next_reply: u32,
}

pub fn tenant() -> TenantId {
    TenantId::default_tenant()
}

pub fn agent(key: &str) -> AgentId {
    AgentId::new(tenant(), Name::new("a").unwrap(), Key::new(key).unwrap())
}

pub fn method() -> MethodName {
    MethodName::new("m").unwrap()
}

pub fn json(text: &str) -> Value {
    Value::Json(Bytes::from(text.to_owned()))
}

pub fn guest_error() -> EddyError {
    EddyError::new(ErrorCode::GuestError, "no")
}

pub fn trap() -> EddyError {
    EddyError::new(ErrorCode::GuestTrap, "boom")
}

pub fn writes(key: &str, value: &str) -> Effects {
    let mut effects = Effects::default();
    effects.set(key, json(value)).unwrap();
    effects
}

pub fn sends(to: &AgentId, arguments: &[&str]) -> Effects {
    let mut effects = Effects::default();
    for argument in arguments {
        effects.send(outgoing(to, argument)).unwrap();
    }
    effects
}

pub fn outgoing(to: &AgentId, argument: &str) -> Outgoing {
    let argument = Bytes::from(argument.to_owned());
    Outgoing {
        to: to.clone(),
        method: method(),
        argument,
    }
}

pub fn client_key(key: &str) -> Option<DedupeKey> {
    Some(DedupeKey::Client(key.to_owned()))
}

impl World {
    pub fn new(shards: u16) -> Self {
        let map = ShardMap::new(shards);
        let count = usize::from(shards);
        let mut world = Self {
            map,
            now: Timestamp(1_000_000),
            cores: Vec::new(),
            stores: vec![MemoryStore::default(); count],
            unflushed: vec![VecDeque::new(); count],
            holding: false,
            held: None,
            runs: VecDeque::new(),
            functions: VecDeque::new(),
            begun: Vec::new(),
            dropped: Vec::new(),
            records: 0,
            ended: Vec::new(),
            replies: BTreeMap::new(),
            next_reply: 0,
        };
        world.crash();
        world
    }

    /// Everything that was not flushed is gone; the shards are taken up again.
    pub fn crash(&mut self) {
        self.runs.clear();
        self.functions.clear();
        self.unflushed.iter_mut().for_each(VecDeque::clear);
        self.cores.clear();
        let mut todo = Vec::new();
        for shard in self.map.shards() {
            let store = &mut self.stores[usize::from(shard.0)];
            let epoch = store.applied().next();
            let changes = vec![Change::Epoch { epoch: epoch.0 }];
            store
                .apply(&[(
                    epoch,
                    Arc::new(Record {
                        at: self.now,
                        changes,
                    }),
                )])
                .unwrap();
            let mut out = Vec::new();
            let core = Core::open(shard, self.map, epoch, self.now, store, &mut out).unwrap();
            self.cores.push(core);
            todo.extend(out.into_iter().map(|action| (shard, action)));
        }
        self.carry(todo);
    }

    pub fn shard(&self, agent: &AgentId) -> ShardId {
        self.map.shard_of_agent(agent)
    }

    pub fn step<T>(
        &mut self,
        shard: ShardId,
        decide: impl FnOnce(&mut Core, Timestamp, &MemoryStore, &mut Vec<Action<u32>>) -> T,
    ) -> T {
        let at = usize::from(shard.0);
        let mut out = Vec::new();
        let answer = decide(&mut self.cores[at], self.now, &self.stores[at], &mut out);
        self.carry(out.into_iter().map(|action| (shard, action)).collect());
        answer
    }

    fn carry(&mut self, actions: Vec<(ShardId, Action<u32>)>) {
        for (shard, action) in actions {
            self.perform(shard, action);
        }
        if !self.holding {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        for shard in self.map.shards() {
            let last = self.unflushed[usize::from(shard.0)].drain(..).next_back();
            if let Some(last) = last {
                self.step(shard, |core, now, _, out| core.durable(last, now, out));
            }
        }
    }

    fn perform(&mut self, from: ShardId, action: Action<u32>) {
        let at = usize::from(from.0);
        match action {
            Action::Run(start) => self.runs.push_back(start),
            Action::RunFunction(start) => self.functions.push_back(start),
            Action::DropInstance(agent) => self.dropped.push(agent),
            Action::Append { seq, record, .. } => {
                Record::decode(&record).unwrap();
                self.records += 1;
                self.unflushed[at].push_back(seq);
            }
            Action::Apply { seq, record } => {
                self.stores[at].apply(&[(seq, record)]).unwrap();
                self.cores[at].applied(seq);
            }
            Action::Reply { to, outcome } => {
                assert!(
                    self.replies.insert(to, outcome).is_none(),
                    "{to} was answered twice"
                );
            }
            Action::Ended { id, outcome } => self.ended.push((id, outcome)),
            Action::StartEffect { to, id } => self.begun.push((to, id)),
            Action::Message { shard, message } => {
                self.step(shard, |core, now, view, out| {
                    core.deliver(*message, now, view, out)
                });
            }
            Action::Deliver(delivery) => match &mut self.held {
                Some(held) => held.push(*delivery),
                None => self.hand_over(*delivery),
            },
            Action::Settle {
                source,
                dest,
                seq,
                result,
            } => {
                self.step(source, |core, now, _, out| {
                    core.delivery_ended(dest, seq, result, now, out);
                });
            }
            Action::Probe { shard, probe } => {
                self.step(shard, |core, _, _, out| core.probe(probe, out));
            }
            Action::AbortCall { shard, agent, call } => {
                self.step(shard, |core, _, _, out| core.abort_call(&agent, call, out));
            }
        }
    }

    pub fn hand_over(&mut self, delivery: Delivery) {
        self.step(delivery.dest, |core, now, view, out| {
            core.deliver_send(delivery, now, view, out);
        });
    }

    pub fn reply_slot(&mut self) -> u32 {
        self.next_reply += 1;
        self.next_reply
    }

    /// A request from outside; answers with where its reply will be.
    pub fn request(&mut self, to: &AgentId, argument: &str, key: Option<&str>) -> u32 {
        self.ask(to, argument, key, |_| {})
    }

    pub fn ask(
        &mut self,
        to: &AgentId,
        argument: &str,
        key: Option<&str>,
        change: impl FnOnce(&mut Message<u32>),
    ) -> u32 {
        let reply = self.reply_slot();
        let key = key.and_then(client_key);
        let mut message = Message {
            id: MessageId(u128::from(reply) << 64),
            to: to.clone(),
            operation: Operation::Method {
                method: method(),
                argument: Bytes::from(argument.to_owned()),
                read_only: false,
            },
            retriable: key.is_some(),
            origin: Origin::Request { reply, key },
            deadline: None,
            chain: CallChain::root(self.now),
        };
        change(&mut message);
        let shard = self.shard(&message.to);
        self.step(shard, |core, now, view, out| {
            core.deliver(message, now, view, out)
        });
        reply
    }

    pub fn query(&mut self, to: &AgentId) -> u32 {
        self.ask(to, "1", None, |message| {
            if let Operation::Method { read_only, .. } = &mut message.operation {
                *read_only = true;
            }
        })
    }

    pub fn delete(&mut self, to: &AgentId, key: Option<&str>) -> u32 {
        self.ask(to, "", key, |message| message.operation = Operation::Delete)
    }

    pub fn import(&mut self, to: &AgentId, import: Import, key: Option<&str>) -> u32 {
        self.ask(to, "", key, |message| {
            message.operation = Operation::Import(Box::new(import));
        })
    }

    pub fn next_run(&mut self) -> TurnStart {
        self.runs.pop_front().expect("a turn was to run")
    }

    /// The next turn ends.
    pub fn end_with(&mut self, end: TurnEnd, policy: TurnPolicy) -> TurnStart {
        let start = self.next_run();
        self.end_turn(&start, end, policy);
        start
    }

    pub fn end_turn(&mut self, start: &TurnStart, end: TurnEnd, policy: TurnPolicy) {
        let turn = start.turn;
        self.step(turn.shard, |core, now, view, out| {
            core.turn_ended(turn, end, policy, now, view, out);
        });
    }

    pub fn end(&mut self, result: &str, effects: Effects) -> TurnStart {
        let outcome = Ok(Bytes::from(result.to_owned()));
        self.end_with(TurnEnd::Returned(outcome, effects), TurnPolicy::default())
    }

    pub fn throw(&mut self, effects: Effects) -> TurnStart {
        self.end_with(
            TurnEnd::Returned(Err(guest_error()), effects),
            TurnPolicy::default(),
        )
    }

    pub fn fail_turn(&mut self, start: &TurnStart) {
        self.end_turn(start, TurnEnd::Failed(trap()), TurnPolicy::default());
    }

    pub fn fail(&mut self) -> TurnStart {
        self.end_with(TurnEnd::Failed(trap()), TurnPolicy::default())
    }

    /// A running turn calls an agent; answers with the reply's place and the call.
    pub fn call(&mut self, from: &TurnStart, to: &AgentId, argument: &str) -> (u32, MessageId) {
        let reply = self.reply_slot();
        let (turn, to, argument) = (from.turn, to.clone(), Bytes::from(argument.to_owned()));
        let begun = self.step(turn.shard, |core, _, _, out| {
            core.begin_call(turn, to, method(), argument, false, None, reply, out)
        });
        (reply, begun.unwrap())
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        for shard in self.map.shards() {
            self.step(shard, |core, now, view, out| core.tick(now, view, out))
                .unwrap();
        }
    }

    /// What an error was told with, if it was one.
    pub fn detail(&self, to: u32) -> Option<String> {
        let outcome = self.replies.get(&to)?;
        outcome.as_ref().err().map(|error| error.detail.clone())
    }

    /// The text of a reply, or the code of its error; "-" when there is none yet.
    pub fn said(&self, to: u32) -> String {
        match self.replies.get(&to) {
            None => "-".to_owned(),
            Some(Ok(result)) => String::from_utf8(result.to_vec()).unwrap(),
            Some(Err(error)) => error.code.to_string(),
        }
    }

    /// A state key as the next turn of an agent would see it.
    pub fn read(&self, agent: &AgentId, durability: Durability, key: &str) -> Option<Value> {
        let at = usize::from(self.shard(agent).0);
        let effects = Effects::default();
        self.cores[at]
            .reads(agent, durability, &effects)
            .get(key)
            .or_ask(|| self.stores[at].state(agent, key))
            .unwrap()
    }

    pub fn dead_letters(&self, shard: ShardId) -> Vec<(DeadLetterId, DeadLetter)> {
        let letters = self.stores[usize::from(shard.0)].dead_letters();
        letters
            .iter()
            .map(|(id, letter)| (*id, letter.clone()))
            .collect()
    }

    pub fn settle_letter(&mut self, shard: ShardId, id: DeadLetterId, redrive: bool) -> u32 {
        let reply = self.reply_slot();
        self.step(shard, |core, now, view, out| {
            core.settle_dead_letter(id, redrive, reply, now, view, out);
        });
        reply
    }
}

/// A policy with this durability.
pub fn durability(durability: Durability) -> TurnPolicy {
    TurnPolicy {
        durability,
        ..TurnPolicy::default()
    }
}

/// A policy that gives up after so many attempts.
pub fn attempts(attempts: u32) -> TurnPolicy {
    let retries = RetryPolicy {
        attempts,
        ..RetryPolicy::default()
    };
    TurnPolicy {
        retries,
        ..TurnPolicy::default()
    }
}
