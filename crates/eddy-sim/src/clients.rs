//! Clients: each does one thing after another, goes away now and then before the answer, and
//! repeats what has a key until it is answered.

use crate::cast::{Op, Script, Who, encode};
use crate::node::{ReplyTo, Run, RunKind, Waiter};
use crate::plan::{Imported, Target};
use crate::world::{Broken, World};
use bytes::Bytes;
use eddy_core::{
    CallChain, DedupeKey, DedupeScope, Effects, FunctionRequest, Import, Message, MessageId,
    Operation, Origin, Outcome, Value,
};
use eddy_types::EddyError;
use std::collections::BTreeMap;
use std::time::Duration;

/// Attempts of a client while there are faults.
const PATIENCE: u32 = 12;

/// What a client knows of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing yet.
    Open,
    /// It was answered: `result`.
    Answered,
    /// It was refused without effect.
    Failed,
    /// It may have taken effect or not, or may do so yet.
    Unknown,
}

/// One operation of a client, retries included.
#[derive(Clone, Debug)]
pub(crate) struct ClientOp {
    pub(crate) target: Target,
    pub(crate) script: Script,
    pub(crate) key: Option<String>,
    pub(crate) id: MessageId,
    pub(crate) known: Known,
    pub(crate) result: Option<Outcome>,
    pub(crate) started: u32,
    pub(crate) ended: u32,
    attempts: u32,
    echoes: u32,
}

impl ClientOp {
    pub(crate) fn background_id(&self) -> Option<MessageId> {
        (self.target == Target::Background).then_some(self.id)
    }
}

/// A client.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) op: Option<usize>,
    pub(crate) outstanding: Vec<ReplyTo>,
}

impl World {
    pub(crate) fn client_step(&mut self, client: usize) -> Result<(), Broken> {
        let Some(op) = self.clients[client].op else {
            return self.new_op(client);
        };
        let waits = !self.clients[client].outstanding.is_empty();
        let keyed = self.ops[op].key.is_some();
        match self.ops[op].known {
            Known::Open if waits => self.while_waiting(client, op, keyed),
            Known::Open if keyed && (self.settling || self.ops[op].attempts < PATIENCE) => {
                if self.ops[op].attempts > 200 {
                    return Err(format!("operation {op} is never answered"));
                }
                self.count("retry");
                self.request(client, op, false)
            }
            Known::Open => {
                self.ops[op].known = Known::Unknown;
                Ok(())
            }
            _ if waits => Ok(()),
            Known::Answered if keyed && self.ops[op].echoes < 2 && self.dice.chance(300) => {
                self.ops[op].echoes += 1;
                let other_body = self.dice.chance(300);
                self.count(if other_body { "other body" } else { "echo" });
                self.request(client, op, other_body)
            }
            _ => {
                self.clients[client].op = None;
                Ok(())
            }
        }
    }

    fn while_waiting(&mut self, client: usize, op: usize, keyed: bool) -> Result<(), Broken> {
        if self.settling {
            return Ok(());
        }
        if keyed && self.dice.chance(60) {
            self.count("duplicate");
            return self.request(client, op, false);
        }
        if self.dice.chance(40) {
            self.count("client went away");
            for reply in std::mem::take(&mut self.clients[client].outstanding) {
                if let Some(waiter) = self.node.waiting.get_mut(&reply) {
                    *waiter = Waiter::Nobody;
                }
            }
            if !keyed {
                self.ops[op].known = Known::Unknown;
            }
        }
        Ok(())
    }

    fn new_op(&mut self, client: usize) -> Result<(), Broken> {
        if self.settling {
            return Ok(());
        }
        let (target, script) = self.plan();
        let number = self.ops.len();
        let keyed = !matches!(target, Target::Value(_)) && self.dice.chance(600);
        let key = keyed.then(|| format!("key{number}"));
        let scope = match target {
            Target::Run(who)
            | Target::Value(who)
            | Target::Delete(who)
            | Target::Import(who, ..) => DedupeScope::Agent(self.cast.id(who).clone()),
            Target::Function | Target::Background => {
                DedupeScope::Function(self.cast.function.clone())
            }
        };
        let id = match &key {
            Some(key) => MessageId::of_key(&scope, key),
            None => MessageId(self.dice.id()),
        };
        self.say(format_args!(
            "client {client} op {number} {target:?} key {keyed} {script:?}"
        ));
        self.ops.push(ClientOp {
            target,
            script,
            key,
            id,
            known: Known::Open,
            result: None,
            started: self.step,
            ended: 0,
            attempts: 0,
            echoes: 0,
        });
        self.clients[client].op = Some(number);
        self.count("operation");
        self.request(client, number, false)
    }

    fn request(&mut self, client: usize, op: usize, other_body: bool) -> Result<(), Broken> {
        let reply = self.expect_reply(Waiter::Client { op, other_body });
        self.clients[client].outstanding.push(reply);
        self.ops[op].attempts += 1;
        let wanted = self.ops[op].clone();
        self.say(format_args!("client {client} op {op} request {reply}"));
        let mut script = wanted.script.clone();
        if other_body {
            script.push(Op::Yield);
        }
        match wanted.target {
            Target::Run(who) => self.request_agent(&wanted, who, &script, reply),
            Target::Value(who) => self.request_agent(&wanted, who, &[], reply),
            Target::Delete(who) | Target::Import(who, ..) if other_body => self.request_agent(
                &ClientOp {
                    target: Target::Run(who),
                    ..wanted
                },
                who,
                &[],
                reply,
            ),
            Target::Delete(who) | Target::Import(who, ..) => {
                self.request_agent(&wanted, who, &[], reply)
            }
            Target::Function if wanted.key.is_none() => self.run_plain(&wanted, reply),
            Target::Function | Target::Background => {
                self.request_function(&wanted, encode(&script), reply)
            }
        }
    }

    fn request_agent(
        &mut self,
        op: &ClientOp,
        who: Who,
        script: &[Op],
        reply: ReplyTo,
    ) -> Result<(), Broken> {
        let read_only = matches!(op.target, Target::Value(_));
        let method = if read_only {
            &self.cast.value
        } else {
            &self.cast.run
        };
        let operation = match op.target {
            Target::Delete(_) => Operation::Delete,
            Target::Import(_, imported) => self.import(imported)?,
            _ => Operation::Method {
                method: method.clone(),
                argument: encode(script),
                read_only,
            },
        };
        let deadline = self
            .dice
            .chance(500)
            .then(|| self.now.plus(Duration::from_secs(30)));
        let message = Message {
            id: op.id,
            to: self.cast.id(who).clone(),
            operation,
            origin: Origin::Request {
                reply,
                key: op.key.clone().map(DedupeKey::Client),
            },
            deadline,
            chain: CallChain::root(self.now),
            retriable: op.key.is_some(),
        };
        let (shard, mut out) = (self.cast.shard(who), Vec::new());
        let view = &self.node.stores[shard];
        self.node.cores[shard].deliver(message, self.now, view, &mut out);
        self.carry(shard, out)
    }

    /// A register's state, with a timer that its guest finds set.
    fn import(&self, imported: Imported) -> Result<Operation, Broken> {
        let Imported { count, tag, at } = imported;
        let wrong = |error: EddyError| format!("an import: {error:?}");
        let mut import = Import::new(true);
        for (key, value) in [("n", count), ("ver", 1), ("timer/0", tag as i64)] {
            let value = Value::Json(value.to_string().into());
            import.state(key, value).map_err(wrong)?;
        }
        let script = encode(&[Op::Fire { name: 0, tag }]);
        import
            .timer("t0", at, self.cast.run.clone(), script)
            .map_err(wrong)?;
        Ok(Operation::Import(Box::new(import)))
    }

    fn request_function(
        &mut self,
        op: &ClientOp,
        argument: Bytes,
        reply: ReplyTo,
    ) -> Result<(), Broken> {
        let request = FunctionRequest {
            id: op.id,
            function: self.cast.function.clone(),
            argument,
            key: op.key.clone(),
            background: op.target == Target::Background,
            reply,
            deadline: None,
            chain: CallChain::root(self.now),
        };
        let shard = self.function_shard(op.id);
        let (view, mut out) = (&self.node.stores[shard], Vec::new());
        self.node.cores[shard].submit_function(request, self.now, view, &mut out);
        self.carry(shard, out)
    }

    pub(crate) fn function_shard(&self, id: MessageId) -> usize {
        let tenant = &self.cast.function.tenant;
        usize::from(self.cast.map.shard_of(tenant, &id.to_string()).0)
    }

    fn run_plain(&mut self, op: &ClientOp, reply: ReplyTo) -> Result<(), Broken> {
        self.begin(Run {
            kind: RunKind::Plain { reply },
            id: op.id,
            chain: CallChain::root(self.now).through_function(),
            retriable: false,
            script: op.script.clone(),
            place: 0,
            effects: Effects::default(),
            calls: Vec::new(),
            began_at: 0,
            inner: BTreeMap::new(),
        })
    }
}
