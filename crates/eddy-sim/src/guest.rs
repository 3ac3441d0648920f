//! Runs guests: one instruction after another, until they wait or end. A guest trusts its globals
//! as long as its instance lives, and checks itself that nothing happens to it twice.

use crate::carry::Actions;
use crate::cast::{Kind, Op, Script, Who, encode};
use crate::node::{CallSlot, Parcel, Run, RunKind, Waiter};
use crate::world::{Broken, World};
use eddy_core::{
    DedupeKey, FunctionEnd, Message, MessageId, Operation, Origin, Outcome, Outgoing, PlainSends,
    TurnEnd, TurnPolicy, Value,
};
use eddy_types::limits::MAX_NESTED_WAIT;
use eddy_types::{EddyError, ErrorCode, RetryPolicy};
use std::time::Duration;

/// What a guest does after an instruction.
enum Flow {
    On,
    /// It gives way; then these are carried out, for this shard.
    Pause(usize, Actions),
    Throw(&'static str),
}

impl World {
    /// A guest starts.
    pub(crate) fn begin(&mut self, mut run: Run) -> Result<(), Broken> {
        if let RunKind::Turn { who, .. } = run.kind {
            let agent = self.cast.id(who).clone();
            self.node.instances.entry(agent).or_default();
            run.began_at = self.get(&run, who, "ver")?.unwrap_or(0);
        }
        self.next_run += 1;
        self.node.runs.insert(self.next_run, run);
        Ok(())
    }

    /// A guest goes on.
    pub(crate) fn advance(&mut self, id: u64) -> Result<(), Broken> {
        let Some(mut run) = self.node.runs.remove(&id) else {
            return Ok(());
        };
        if !self.settling && self.dice.chance(self.pace.chaos) {
            let code = *self.dice.pick(&[
                ErrorCode::GuestTrap,
                ErrorCode::DeadlineExceeded,
                ErrorCode::TurnAborted,
                ErrorCode::MemoryLimit,
            ]);
            self.count("guest failed");
            let error = EddyError::new(code, "the simulated guest failed");
            return self.end_run(id, run, Ended::Failed(error));
        }
        loop {
            if run.has_failed_call() {
                return self.throw(id, run, "a call failed");
            }
            let Some(op) = run.script.get(run.place).cloned() else {
                return self.return_result(id, run);
            };
            run.place += 1;
            match self.execute(id, &mut run, op)? {
                Flow::On => {}
                Flow::Throw(why) => return self.throw(id, run, why),
                Flow::Pause(shard, actions) => {
                    self.node.runs.insert(id, run);
                    return self.carry(shard, actions);
                }
            }
        }
    }

    fn execute(&mut self, id: u64, run: &mut Run, op: Op) -> Result<Flow, Broken> {
        let calls = match op {
            Op::Yield => return Ok(Flow::Pause(0, Vec::new())),
            Op::Throw => return Ok(Flow::Throw("on purpose")),
            Op::Send { to, script } => {
                self.send(run, to, &script)?;
                return Ok(Flow::On);
            }
            Op::Invoke { to, script } => return Ok(self.invoke(id, run, to, script)),
            Op::Call { calls, catch } => (calls, catch, false),
            Op::Start { to, script } => (vec![(to, script)], true, true),
            own => return self.execute_own(run, own),
        };
        let (calls, catch, detached) = calls;
        let (shard, mut out) = (self.home(run), Vec::new());
        for (to, script) in calls {
            self.call(id, run, to, &script, (catch, detached), &mut out);
        }
        Ok(Flow::Pause(shard, out))
    }

    /// Instructions that touch the agent's own state.
    fn execute_own(&mut self, run: &mut Run, op: Op) -> Result<Flow, Broken> {
        let RunKind::Turn { who, .. } = run.kind else {
            return Err(format!("a function cannot do {op:?}"));
        };
        match op {
            Op::Inc { tag } => self.mark(run, who, tag)?,
            Op::Move {
                to,
                amount,
                tag,
                poison,
            } => {
                let sent = format!("sent/{to}");
                let n = self.get(run, who, &sent)?.unwrap_or(0) + i64::from(!poison);
                self.put(run, who, &sent, Some(n))?;
                self.change_balance(run, who, -amount)?;
                let take = Op::Take {
                    from: who,
                    n,
                    amount,
                    tag: tag + 1,
                    poison,
                };
                self.mark(run, who, tag)?;
                self.send(run, to, &[take])?;
            }
            Op::Take {
                from,
                n,
                amount,
                tag,
                poison,
            } => {
                self.change_balance(run, who, amount)?;
                self.mark(run, who, tag)?;
                if poison && !self.settling {
                    return Ok(Flow::Throw("poison"));
                }
                if !poison {
                    self.check_order(run, who, from, n)?;
                }
            }
            timer => self.execute_timer(run, who, timer)?,
        }
        Ok(Flow::On)
    }

    fn execute_timer(&mut self, run: &mut Run, who: Who, op: Op) -> Result<(), Broken> {
        let limit = |error: EddyError| format!("an effect was refused: {error:?}");
        match op {
            Op::Set {
                name,
                delay,
                tag,
                script,
            } => {
                self.put(run, who, &format!("timer/{name}"), Some(tag as i64))?;
                self.change_version(run, who)?;
                let whole: Script = std::iter::once(Op::Fire { name, tag }).chain(script).collect();
                let (method, delay) = (self.cast.run.clone(), Duration::from_millis(delay));
                run.effects
                    .set_timer(&format!("t{name}"), self.now, delay, method, encode(&whole))
                    .map_err(limit)
            }
            Op::Cancel { name } => {
                self.put(run, who, &format!("timer/{name}"), None)?;
                self.change_version(run, who)?;
                run.effects.cancel_timer(&format!("t{name}")).map_err(limit)
            }
            Op::Fire { name, tag } => {
                let key = format!("timer/{name}");
                let set = self.get(run, who, &key)?;
                if set != Some(tag as i64) {
                    let agent = self.cast.id(who);
                    return Err(format!("timer {name} of {agent} fires as {tag}, set is {set:?}"));
                }
                self.count("timer fired");
                self.put(run, who, &key, None)?;
                if self.cast.kind(who) == Kind::Register {
                    return Ok(()); // its count is for its clients' history alone
                }
                self.mark(run, who, tag)
            }
            other => Err(format!("{other:?} is not for timers")),
        }
    }

    fn check_order(&mut self, run: &mut Run, who: Who, from: Who, n: i64) -> Result<(), Broken> {
        let key = format!("seen/{from}");
        let seen = self.get(run, who, &key)?.unwrap_or(0);
        if n != seen + 1 {
            let (from, to) = (self.cast.id(from), self.cast.id(who));
            return Err(format!("send {n} from {from} to {to} follows number {seen}"));
        }
        self.put(run, who, &key, Some(n))
    }

    fn change_balance(&mut self, run: &mut Run, who: Who, by: i64) -> Result<(), Broken> {
        let balance = self.get(run, who, "bal")?;
        let balance = balance.unwrap_or(crate::cast::OPENING_BALANCE);
        self.put(run, who, "bal", Some(balance + by))
    }

    /// The effect that a tag stands for: once in the whole run.
    fn mark(&mut self, run: &mut Run, who: Who, tag: u64) -> Result<(), Broken> {
        let key = format!("tag/{tag}");
        if self.get(run, who, &key)?.is_some() {
            return Err(format!("effect {tag} on {} happens twice", self.cast.id(who)));
        }
        self.put(run, who, &key, Some(1))?;
        self.count_up(run, who)?;
        self.change_version(run, who)
    }

    fn count_up(&mut self, run: &mut Run, who: Who) -> Result<(), Broken> {
        let n = self.get(run, who, "n")?.unwrap_or(0);
        self.put(run, who, "n", Some(n + 1))
    }

    fn change_version(&mut self, run: &mut Run, who: Who) -> Result<(), Broken> {
        let version = self.get(run, who, "ver")?.unwrap_or(0);
        self.put(run, who, "ver", Some(version + 1))
    }

    fn get(&mut self, run: &Run, who: Who, key: &str) -> Result<Option<i64>, Broken> {
        let agent = self.cast.id(who);
        let instance = self.node.instances.entry(agent.clone()).or_default();
        if let Some(cached) = instance.cache.get(key) {
            return Ok(*cached);
        }
        let (shard, durability) = (self.cast.shard(who), self.cast.kind(who).durability());
        let value = self.node.cores[shard]
            .read(agent, durability, &run.effects, key, &self.node.stores[shard])
            .map_err(|error| format!("a read failed: {error:?}"))?;
        let value = value.as_ref().map(crate::disk::number);
        instance.cache.insert(key.to_owned(), value);
        Ok(value)
    }

    fn put(&mut self, run: &mut Run, who: Who, key: &str, value: Option<i64>) -> Result<(), Broken> {
        let done = match value {
            Some(value) => run.effects.set(key, Value::Json(value.to_string().into())),
            None => run.effects.delete(key),
        };
        done.map_err(|error| format!("a write was refused: {error:?}"))?;
        let agent = self.cast.id(who).clone();
        let instance = self.node.instances.entry(agent).or_default();
        instance.cache.insert(key.to_owned(), value);
        Ok(())
    }

    fn send(&mut self, run: &mut Run, to: Who, script: &[Op]) -> Result<(), Broken> {
        let outgoing = Outgoing {
            to: self.cast.id(to).clone(),
            method: self.cast.run.clone(),
            argument: encode(script),
        };
        run.effects
            .send(outgoing)
            .map_err(|error| format!("a send was refused: {error:?}"))
    }

    fn call(
        &mut self,
        id: u64,
        run: &mut Run,
        to: Who,
        script: &[Op],
        (catch, detached): (bool, bool),
        out: &mut Actions,
    ) {
        let slot = run.calls.len();
        let reply = self.expect_reply(Waiter::Call { run: id, slot });
        let read_only = script.is_empty();
        let method = if read_only { &self.cast.value } else { &self.cast.run };
        let (method, agent) = (method.clone(), self.cast.id(to).clone());
        let deadline = Some(self.now.plus(MAX_NESTED_WAIT));
        let argument = encode(script);
        let started = match run.kind {
            RunKind::Turn { turn, who, .. } => {
                let core = &mut self.node.cores[self.cast.shard(who)];
                core.begin_call(turn, agent, method, argument, read_only, deadline, reply, out)
            }
            _ => {
                let call = run.id.effect(slot as u32 + 1);
                let key = (run.retriable && !read_only).then_some(DedupeKey::Effect(call));
                let message = Message {
                    id: call,
                    to: agent.clone(),
                    operation: Operation::Method {
                        method,
                        argument,
                        read_only,
                    },
                    origin: Origin::Request { reply, key },
                    deadline,
                    chain: run.chain.clone(),
                    retriable: run.retriable,
                };
                if let RunKind::Inner { turn, shard, .. } = run.kind {
                    self.node.cores[shard].note_call(turn, call, agent.clone());
                }
                let shard = self.cast.map.shard_of_agent(&agent);
                self.node.net.push(Parcel::Message(shard, Box::new(message)));
                Ok(call)
            }
        };
        let (call, outcome) = match started {
            Ok(call) => (call, None),
            Err((reply, error)) => {
                self.node.waiting.remove(&reply);
                (MessageId(0), Some(Err(error)))
            }
        };
        self.count("call");
        run.calls.push(CallSlot {
            id: call,
            to: Some(to),
            reply,
            outcome,
            detached,
            catch,
        });
    }

    fn invoke(&mut self, id: u64, run: &mut Run, to: Who, script: Script) -> Flow {
        let (slot, mut out) = (run.calls.len(), Vec::new());
        let shard = self.home(run);
        let reply = self.expect_reply(Waiter::Call { run: id, slot });
        let RunKind::Turn { turn, .. } = run.kind else {
            return Flow::Throw("a function does not invoke");
        };
        let (call, outcome) = match self.node.cores[shard].begin_effect(turn, reply, &mut out) {
            Ok(call) => (call, None),
            Err((reply, error)) => {
                self.node.waiting.remove(&reply);
                (MessageId(0), Some(Err(error)))
            }
        };
        self.count("invoke");
        run.inner.insert(slot, (to, script));
        run.calls.push(CallSlot {
            id: call,
            to: None,
            reply,
            outcome,
            detached: false,
            catch: false,
        });
        Flow::Pause(shard, out)
    }

    /// The shard that a run belongs to.
    pub(crate) fn home(&self, run: &Run) -> usize {
        match run.kind {
            RunKind::Turn { who, .. } => self.cast.shard(who),
            RunKind::Inner { shard, .. } => shard,
            RunKind::Function | RunKind::Plain { .. } => {
                let id = run.id.to_string();
                let tenant = &self.cast.function.tenant;
                usize::from(self.cast.map.shard_of(tenant, &id).0)
            }
        }
    }

    fn return_result(&mut self, id: u64, run: Run) -> Result<(), Broken> {
        let text = match run.kind {
            RunKind::Turn { who, .. } => {
                let n = self.get(&run, who, "n")?.unwrap_or(0);
                let version = self.get(&run, who, "ver")?.unwrap_or(0);
                format!("[{n},{version}]")
            }
            _ => "null".to_owned(),
        };
        self.end_run(id, run, Ended::Returned(Ok(text.into())))
    }

    /// Throws, telling the version that the handler began with.
    fn throw(&mut self, id: u64, run: Run, why: &str) -> Result<(), Broken> {
        let text = format!("{}: {why}", run.began_at);
        let error = EddyError::new(ErrorCode::GuestError, text);
        self.end_run(id, run, Ended::Returned(Err(error)))
    }

    fn end_run(&mut self, id: u64, mut run: Run, ended: Ended) -> Result<(), Broken> {
        self.say(format_args!("end run {id} {:?} {}", run.kind, ended.short()));
        self.drop_calls(id, &mut run);
        let (shard, now, mut out) = (self.home(&run), self.now, Vec::new());
        let poison = run.script.iter().any(|op| matches!(op, Op::Take { poison: true, .. }));
        let retries = RetryPolicy {
            attempts: if poison { 2 } else { 8 },
            ..RetryPolicy::default()
        };
        match run.kind {
            RunKind::Turn {
                turn,
                who,
                read_only,
            } => {
                let end = match ended {
                    Ended::Returned(outcome) => TurnEnd::Returned(outcome, run.effects),
                    Ended::Failed(error) => TurnEnd::Failed(error),
                };
                let policy = TurnPolicy {
                    durability: self.cast.kind(who).durability(),
                    retries,
                    read_only,
                };
                let view = &self.node.stores[shard];
                self.node.cores[shard].turn_ended(turn, end, policy, now, view, &mut out);
            }
            RunKind::Function => {
                let end = match ended {
                    Ended::Returned(outcome) => FunctionEnd::Returned(outcome, run.effects.sends),
                    Ended::Failed(error) => FunctionEnd::Failed(error, retries),
                };
                self.node.cores[shard].function_ended(run.id, end, now, &mut out);
            }
            RunKind::Plain { reply } => {
                let outcome = match ended {
                    Ended::Returned(outcome) => outcome,
                    Ended::Failed(error) => Err(error),
                };
                return self.end_plain(run, reply, outcome);
            }
            RunKind::Inner { parent, slot, .. } => {
                let outcome = match ended {
                    Ended::Returned(outcome) => outcome,
                    Ended::Failed(error) => Err(error),
                };
                if let Some(call) = self.node.runs.get(&parent).and_then(|run| run.calls.get(slot)) {
                    return self.reply(call.reply, outcome);
                }
            }
        }
        self.carry(shard, out)
    }

    fn end_plain(&mut self, run: Run, reply: u64, outcome: Outcome) -> Result<(), Broken> {
        if outcome.is_err() || run.effects.sends.is_empty() {
            return self.reply(reply, outcome);
        }
        let (shard, mut out) = (self.home(&run), Vec::new());
        let plain = PlainSends {
            id: run.id,
            sends: run.effects.sends,
            outcome,
            reply,
        };
        self.node.cores[shard].commit_sends(plain, self.now, &mut out);
        self.carry(shard, out)
    }

    /// A run that has ended waits for nothing any more.
    fn drop_calls(&mut self, id: u64, run: &mut Run) {
        for call in run.calls.iter().filter(|call| call.outcome.is_none()) {
            if let Some(waiter) = self.node.waiting.get_mut(&call.reply) {
                *waiter = Waiter::Nobody;
            }
            if let Some(to) = call.to {
                let agent = self.cast.id(to).clone();
                let shard = self.cast.map.shard_of_agent(&agent);
                self.node.net.push(Parcel::Cancel(shard, agent, call.id));
            }
        }
        let inner: Vec<u64> = self.node.runs.iter().filter_map(|(inner, run)| match run.kind {
            RunKind::Inner { parent, .. } if parent == id => Some(*inner),
            _ => None,
        }).collect();
        for inner in inner {
            if let Some(mut run) = self.node.runs.remove(&inner) {
                self.drop_calls(inner, &mut run);
            }
        }
    }
}

/// How a guest ended.
enum Ended {
    Returned(Outcome),
    Failed(EddyError),
}

impl Ended {
    fn short(&self) -> String {
        match self {
            Self::Returned(Ok(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Returned(Err(error)) => format!("throws {}", error.detail),
            Self::Failed(error) => format!("fails {}", error.code.as_str()),
        }
    }
}

impl Run {
    fn has_failed_call(&self) -> bool {
        self.calls.iter().any(|call| {
            !call.detached && !call.catch && matches!(call.outcome, Some(Err(_)))
        })
    }
}
