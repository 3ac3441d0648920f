//! Carries out the actions of the shards, and checks at that moment that what leaves may leave.

use crate::answers::versions_of;
use crate::cast::{Kind, decode};
use crate::node::{Append, Parcel, ReplyTo, Run, RunKind, Waiter};
use crate::world::{Broken, World};
use eddy_core::{
    Action, Delivery, DeliveryResult, Effects, FunctionStart, Message, MessageId, Operation,
    Outcome, StoreView, TurnStart,
};
use eddy_types::{ErrorCode, ShardId};
use std::collections::BTreeMap;

pub(crate) type Actions = Vec<Action<ReplyTo>>;

impl World {
    pub(crate) fn carry(&mut self, shard: usize, actions: Actions) -> Result<(), Broken> {
        for action in actions {
            self.carry_one(shard, action)?;
        }
        Ok(())
    }

    fn carry_one(&mut self, shard: usize, action: Action<ReplyTo>) -> Result<(), Broken> {
        match action {
            Action::Run(start) => self.start_turn(start)?,
            Action::RunFunction(start) => self.start_function(shard, start)?,
            Action::DropInstance(agent) => {
                self.say(format_args!("drop instance {agent}"));
                self.node.instances.remove(&agent);
            }
            Action::Append { seq, record, .. } => {
                self.say(format_args!("append {shard}/{} of {}", seq.0, record.len()));
                let append = Append { shard, seq, record };
                self.node.journal.pending.push_back(append);
            }
            Action::Apply { seq, record } => self.node.apply[shard].push_back((seq, record)),
            Action::Reply { to, outcome } => self.reply(to, outcome)?,
            // What the node shows of invocations; replies are what the simulation checks.
            Action::Ended { .. } => {}
            Action::StartEffect { to, id } => self.start_inner(to, id)?,
            Action::Message { shard, message } => {
                self.check_message(&message)?;
                self.node.net.push(Parcel::Message(shard, message));
            }
            Action::Deliver(delivery) => {
                self.check_delivery(&delivery)?;
                self.node.net.push(Parcel::Deliver(delivery));
            }
            Action::Settle {
                source,
                dest,
                seq,
                result,
            } => {
                self.check_settle(source, dest, seq, &result)?;
                self.node.net.push(Parcel::Settle {
                    source,
                    dest,
                    seq,
                    result,
                });
            }
            Action::Probe { shard, probe } => self.node.net.push(Parcel::Probe(shard, probe)),
            Action::AbortCall { shard, agent, call } => {
                self.node.net.push(Parcel::Abort(shard, agent, call));
            }
        }
        Ok(())
    }

    fn start_turn(&mut self, start: TurnStart) -> Result<(), Broken> {
        let who = self.cast.who(&start.agent);
        self.say(format_args!("run {} {:?}", start.agent, start.turn));
        let busy = self
            .node
            .runs
            .values()
            .any(|run| matches!(run.kind, RunKind::Turn { who: other, .. } if other == who));
        if busy {
            return Err(format!("two turns of {} at once", start.agent));
        }
        let read_only = start.method == self.cast.value;
        let run = Run {
            kind: RunKind::Turn {
                turn: start.turn,
                who,
                read_only,
            },
            id: start.id,
            chain: start.chain,
            retriable: start.retriable,
            script: decode(&start.argument)?,
            place: 0,
            effects: Effects::default(),
            calls: Vec::new(),
            began_at: 0,
            inner: BTreeMap::new(),
        };
        self.begin(run)
    }

    fn start_function(&mut self, shard: usize, start: FunctionStart) -> Result<(), Broken> {
        self.say(format_args!(
            "run function {} attempt {}",
            start.id, start.attempt
        ));
        if start.attempt > 1 {
            self.count("function retried");
        }
        let row = self.disk.shards[shard].durable.invocation(start.id);
        let background = self
            .ops
            .iter()
            .any(|op| op.background_id() == Some(start.id));
        if background && !matches!(row, Ok(Some(_))) {
            return Err(format!("{} runs before it is durable", start.id));
        }
        let run = Run {
            kind: RunKind::Function,
            id: start.id,
            chain: start.chain.through_function(),
            retriable: true,
            script: decode(&start.argument)?,
            place: 0,
            effects: Effects::default(),
            calls: Vec::new(),
            began_at: 0,
            inner: BTreeMap::new(),
        };
        self.begin(run)
    }

    /// A function that a turn invoked may start.
    fn start_inner(&mut self, to: ReplyTo, id: MessageId) -> Result<(), Broken> {
        let Some(Waiter::Call { run: parent, slot }) = self.node.waiting.get(&to).copied() else {
            return Ok(());
        };
        let Some(caller) = self.node.runs.get_mut(&parent) else {
            return Ok(());
        };
        let RunKind::Turn { turn, who, .. } = caller.kind else {
            return Err("a function waits at a gate".to_owned());
        };
        let (target, script) = caller
            .inner
            .remove(&slot)
            .expect("the slot was just filled");
        let (began_at, retriable) = (caller.began_at, caller.retriable);
        let chain = caller
            .chain
            .under(self.cast.id(who), turn)
            .through_function();
        self.check_version(who, began_at, "an invocation")?;
        self.say(format_args!("invoke {id} for run {parent}"));
        let run = Run {
            kind: RunKind::Inner {
                parent,
                slot,
                turn,
                shard: self.cast.shard(who),
            },
            id,
            chain,
            retriable,
            script: vec![crate::cast::Op::Call {
                calls: vec![(target, script)],
                catch: false,
            }],
            place: 0,
            effects: Effects::default(),
            calls: Vec::new(),
            began_at: 0,
            inner: BTreeMap::new(),
        };
        self.begin(run)
    }

    /// Somebody is answered.
    pub(crate) fn reply(&mut self, to: ReplyTo, outcome: Outcome) -> Result<(), Broken> {
        let Some(waiter) = self.node.waiting.remove(&to) else {
            return Err(format!("request {to} was answered twice"));
        };
        let short = match &outcome {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(error) => error.code.as_str().to_owned(),
        };
        self.say(format_args!("reply {to} {waiter:?} {short}"));
        if let Err(error) = &outcome {
            self.note_error(error.code);
        }
        match waiter {
            Waiter::Client { op, other_body } => self.client_reply(op, other_body, to, outcome),
            Waiter::Call { run, slot } => {
                self.node.net.push(Parcel::Return { run, slot, outcome });
                Ok(())
            }
            Waiter::Nobody | Waiter::Operator => Ok(()),
        }
    }

    fn note_error(&mut self, code: ErrorCode) {
        self.count(match code {
            ErrorCode::Deadlock => "deadlock",
            ErrorCode::CallCycle => "cycle",
            ErrorCode::DeadlineExceeded => "deadline",
            ErrorCode::IdempotencyMismatch => "mismatch",
            ErrorCode::GuestError => "throw",
            _ => "other error",
        });
    }

    fn check_message(&self, message: &Message<ReplyTo>) -> Result<(), Broken> {
        let Some(caller) = message.chain.caller else {
            return Ok(());
        };
        let run = self
            .node
            .runs
            .values()
            .find(|run| matches!(run.kind, RunKind::Turn { turn, .. } if turn == caller));
        let Some(run) = run else {
            return Err(format!("{} leaves after its turn has ended", message.id));
        };
        if let RunKind::Turn { who, .. } = run.kind {
            self.check_version(who, run.began_at, "a call")?;
        }
        if !matches!(message.operation, Operation::Method { .. }) {
            return Err("a guest deletes or imports".to_owned());
        }
        Ok(())
    }

    fn check_version(&self, who: usize, version: i64, what: &str) -> Result<(), Broken> {
        let (agent, kind) = (self.cast.id(who), self.cast.kind(who));
        if self.disk.has_version(agent, kind, version) {
            return Ok(());
        }
        Err(format!(
            "{what} of {agent} leaves that saw version {version}, which is not durable"
        ))
    }

    fn check_delivery(&self, delivery: &Delivery) -> Result<(), Broken> {
        let at = (delivery.source, delivery.dest, delivery.seq);
        if self.disk.sent.contains(&at) {
            return Ok(());
        }
        Err(format!("send {at:?} leaves before it is durable"))
    }

    fn check_settle(
        &mut self,
        source: ShardId,
        dest: ShardId,
        seq: u64,
        result: &DeliveryResult,
    ) -> Result<(), Broken> {
        match result {
            DeliveryResult::Done if !self.disk.received.contains(&(source, dest, seq)) => Err(
                format!("send {seq} from {source:?} to {dest:?} is settled, not durable there"),
            ),
            DeliveryResult::Failed { .. } => {
                self.count("delivery failed");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What an agent answered must not depend on anything that can still be lost.
    pub(crate) fn check_answer(&self, who: usize, outcome: &Outcome) -> Result<(), Broken> {
        if self.cast.kind(who) == Kind::Register {
            return Ok(());
        }
        match versions_of(outcome) {
            Some((_, version)) => self.check_version(who, version, "a reply"),
            None => Ok(()),
        }
    }
}
