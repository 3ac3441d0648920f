//! Guests end: by returning, by throwing, or by failing.

use crate::cast::Op;
use crate::node::{Parcel, Run, RunKind, Waiter};
use crate::world::{Broken, World};
use eddy_core::{FunctionEnd, Outcome, PlainSends, TurnEnd, TurnId, TurnPolicy};
use eddy_types::{EddyError, ErrorCode, RetryPolicy};

impl World {
    pub(crate) fn return_result(&mut self, id: u64, run: Run) -> Result<(), Broken> {
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
    pub(crate) fn throw(&mut self, id: u64, run: Run, why: &str) -> Result<(), Broken> {
        let text = format!("{}: {why}", run.began_at);
        let error = EddyError::new(ErrorCode::GuestError, text);
        self.end_run(id, run, Ended::Returned(Err(error)))
    }

    pub(crate) fn end_run(&mut self, id: u64, mut run: Run, ended: Ended) -> Result<(), Broken> {
        self.say(format_args!(
            "end run {id} {:?} {}",
            run.kind,
            ended.short()
        ));
        self.drop_calls(id, &mut run);
        match run.kind {
            RunKind::Turn {
                turn,
                who,
                read_only,
            } => {
                let policy = TurnPolicy {
                    durability: self.cast.kind(who).durability(),
                    retries: run.retries(),
                    read_only,
                };
                self.end_turn(run, turn, ended, policy)
            }
            RunKind::Function => {
                let (shard, mut out) = (self.home(&run), Vec::new());
                let end = match ended {
                    Ended::Returned(outcome) => FunctionEnd::Returned(outcome, run.effects.sends),
                    Ended::Failed(error) => FunctionEnd::Failed(error, RetryPolicy::default()),
                };
                self.node.cores[shard].function_ended(run.id, end, self.now, &mut out);
                self.carry(shard, out)
            }
            RunKind::Plain { reply } => self.end_plain(run, reply, ended.outcome()),
            RunKind::Inner { parent, slot, .. } => {
                let parent = self.node.runs.get(&parent);
                let Some(call) = parent.and_then(|parent| parent.calls.get(slot)) else {
                    return Ok(());
                };
                self.reply(call.reply, ended.outcome())
            }
        }
    }

    fn end_turn(
        &mut self,
        run: Run,
        turn: TurnId,
        ended: Ended,
        policy: TurnPolicy,
    ) -> Result<(), Broken> {
        let (shard, mut out) = (self.home(&run), Vec::new());
        let end = match ended {
            Ended::Returned(outcome) => TurnEnd::Returned(outcome, run.effects),
            Ended::Failed(error) => TurnEnd::Failed(error),
        };
        let view = &self.node.stores[shard];
        self.node.cores[shard].turn_ended(turn, end, policy, self.now, view, &mut out);
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
        let inner: Vec<u64> = self
            .node
            .runs
            .iter()
            .filter_map(|(inner, run)| match run.kind {
                RunKind::Inner { parent, .. } if parent == id => Some(*inner),
                _ => None,
            })
            .collect();
        for inner in inner {
            if let Some(mut run) = self.node.runs.remove(&inner) {
                self.drop_calls(inner, &mut run);
            }
        }
    }
}

/// How a guest ended.
pub(crate) enum Ended {
    Returned(Outcome),
    Failed(EddyError),
}

impl Ended {
    fn outcome(self) -> Outcome {
        match self {
            Self::Returned(outcome) => outcome,
            Self::Failed(error) => Err(error),
        }
    }

    fn short(&self) -> String {
        match self {
            Self::Returned(Ok(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Returned(Err(error)) => format!("throws {}", error.detail),
            Self::Failed(error) => format!("fails {}", error.code.as_str()),
        }
    }
}

impl Run {
    /// What is poisoned is soon given up.
    fn retries(&self) -> RetryPolicy {
        let poison = |op: &Op| matches!(op, Op::Take { poison: true, .. });
        let attempts = if self.script.iter().any(poison) { 2 } else { 8 };
        RetryPolicy {
            attempts,
            ..RetryPolicy::default()
        }
    }
}
