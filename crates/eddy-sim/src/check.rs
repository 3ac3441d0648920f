//! What must hold at the end, when everything has settled.

use crate::cast::{Kind, Op, decode};
use crate::clients::{ClientOp, Known};
use crate::history;
use crate::node::Waiter;
use crate::plan::Target;
use crate::world::{Broken, World};
use eddy_core::StoreView;
use std::collections::{BTreeMap, BTreeSet};

/// How often an effect must have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Once,
    Never,
    AtMostOnce,
}

impl World {
    pub(crate) fn check_end(&mut self) -> Result<(), Broken> {
        self.check_all_answered()?;
        self.check_effects()?;
        self.check_money()?;
        self.check_timers()?;
        self.check_counts()?;
        for who in 0..self.cast.agents.len() {
            self.check_history(who)?;
        }
        for (shard, disk) in self.disk.shards.iter().enumerate() {
            if self.node.stores[shard] != disk.durable {
                return Err(format!(
                    "the store of shard {shard} differs from its journal's replay"
                ));
            }
        }
        self.disk.check_owners()
    }

    fn check_all_answered(&self) -> Result<(), Broken> {
        let left = |waiter: &&Waiter| !matches!(waiter, Waiter::Nobody);
        match self.node.waiting.values().find(left) {
            Some(waiter) => Err(format!("{waiter:?} was never answered")),
            None => Ok(()),
        }
    }

    /// No money comes or goes, at any moment.
    pub(crate) fn check_money(&self) -> Result<(), Broken> {
        let expected = self.cast.accounts().count() as i64 * crate::cast::OPENING_BALANCE;
        let found = self.disk.money(&self.cast)?;
        if found == expected {
            return Ok(());
        }
        Err(format!("there is {found} money, not {expected}"))
    }

    /// Whether a node ended in a way that relaxed turns may be lost by.
    pub(crate) fn was_disrupted(&self) -> bool {
        let faults = ["crash", "take-over", "failed flush", "crash while starting"];
        faults.iter().any(|fault| self.counted(fault) > 0)
    }

    fn check_effects(&self) -> Result<(), Broken> {
        let mut needs = BTreeMap::new();
        for op in &self.ops {
            self.needs_of(op, &mut needs)?;
        }
        let buried = self.buried_tags()?;
        let done = self.tags()?;
        for (tag, need) in needs {
            let happened = done.contains(&tag);
            let wrong = match need {
                Need::Once => !happened && !buried.contains(&tag),
                Need::Never => happened,
                Need::AtMostOnce => false,
            };
            if wrong {
                return Err(format!("effect {tag} happened: {happened}, must: {need:?}"));
            }
        }
        Ok(())
    }

    /// Every effect that happened, of agents that are never deleted. One that happens twice to one
    /// agent is noticed by the guest; here, one that happens to two.
    fn tags(&self) -> Result<BTreeSet<u64>, Broken> {
        let mut tags = BTreeSet::new();
        for (agent, _) in self
            .cast
            .agents
            .iter()
            .filter(|(_, kind)| *kind != Kind::Register)
        {
            for (key, _) in self.disk.states(&self.cast, agent, "tag/")? {
                let tag = key
                    .trim_start_matches("tag/")
                    .parse()
                    .expect("guests write numbers");
                if !tags.insert(tag) {
                    return Err(format!("effect {tag} happened to two agents"));
                }
            }
        }
        Ok(tags)
    }

    /// Effects in dead letters: they need not happen.
    fn buried_tags(&self) -> Result<BTreeSet<u64>, Broken> {
        let mut buried = BTreeMap::new();
        for disk in &self.disk.shards {
            for letter in disk.durable.dead_letters().values() {
                let script = decode(&letter.argument)?;
                collect(&script, Need::AtMostOnce, true, &mut buried);
            }
        }
        Ok(buried.into_keys().collect())
    }

    fn needs_of(&self, op: &ClientOp, needs: &mut BTreeMap<u64, Need>) -> Result<(), Broken> {
        let mut need = match (&op.known, &op.result) {
            (Known::Answered, Some(Ok(_))) => Need::Once,
            (Known::Answered, Some(Err(_))) | (Known::Failed, _) => Need::Never,
            _ => Need::AtMostOnce,
        };
        let mut counted = true;
        match op.target {
            Target::Run(who) => {
                counted = self.cast.kind(who) != Kind::Register;
                let soft = self.cast.kind(who) == Kind::Soft;
                if soft && self.was_disrupted() && need == Need::Once {
                    need = Need::AtMostOnce;
                }
            }
            Target::Background if need == Need::Once => {
                let id = op.background_id().expect("it is one");
                let mut rows = self
                    .disk
                    .shards
                    .iter()
                    .map(|disk| disk.durable.invocation(id));
                let row = rows.find_map(|row| row.ok().flatten());
                let outcome = row.and_then(|row| row.outcome);
                let Some(outcome) = outcome else {
                    return Err(format!("accepted invocation {id} has not ended"));
                };
                need = if outcome.is_ok() {
                    Need::Once
                } else {
                    Need::Never
                };
            }
            _ => {}
        }
        collect(&op.script, need, counted, needs);
        Ok(())
    }

    /// Timers that are set have fired or are dead letters.
    fn check_timers(&self) -> Result<(), Broken> {
        for (agent, _) in &self.cast.agents {
            for (key, tag) in self.disk.states(&self.cast, agent, "timer/")? {
                let name = key.replace("timer/", "t");
                let shard = usize::from(self.cast.map.shard_of_agent(agent).0);
                let letters = self.disk.shards[shard].durable.dead_letters();
                let buried = letters
                    .values()
                    .any(|letter| letter.to == *agent && letter.timer.as_ref() == Some(&name));
                if !buried {
                    return Err(format!(
                        "timer {name} of {agent}, effect {tag}, never fired"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Each agent counted its effects and nothing else.
    fn check_counts(&self) -> Result<(), Broken> {
        for (agent, _) in self
            .cast
            .agents
            .iter()
            .filter(|(_, kind)| *kind != Kind::Register)
        {
            let tags = self.disk.states(&self.cast, agent, "tag/")?.len() as i64;
            let n = self.disk.state(&self.cast, agent, "n")?.unwrap_or(0);
            if n != tags {
                return Err(format!("{agent} counts {n} after {tags} effects"));
            }
        }
        Ok(())
    }

    fn check_history(&self, who: usize) -> Result<(), Broken> {
        let kind = self.cast.kind(who);
        if kind == Kind::Soft && self.was_disrupted() {
            return Ok(());
        }
        let of = |op: &&ClientOp| match op.target {
            Target::Run(other)
            | Target::Value(other)
            | Target::Delete(other)
            | Target::Import(other, ..) => other == who,
            Target::Function | Target::Background => false,
        };
        let ops: Vec<&ClientOp> = self.ops.iter().filter(of).collect();
        let agent = self.cast.id(who);
        let held = match kind {
            Kind::Register => history::check_register(&ops),
            _ => history::check_counter(&ops),
        };
        held.map_err(|why| format!("the history of {agent} is not linearizable: {why}"))
    }
}

/// What a script's outcome says about its effects. Immediate effects are not undone by an error.
fn collect(script: &[Op], need: Need, counted: bool, needs: &mut BTreeMap<u64, Need>) {
    for op in script {
        match op {
            Op::Inc { tag } if counted => {
                needs.insert(*tag, need);
            }
            Op::Take { tag, .. } => {
                needs.insert(*tag, need);
            }
            Op::Move { tag, .. } => {
                needs.insert(*tag, need);
                needs.insert(*tag + 1, need);
            }
            Op::Call { calls, catch } => {
                let below = if *catch {
                    Need::AtMostOnce
                } else {
                    need.below()
                };
                for (_, script) in calls {
                    collect(script, below, true, needs);
                }
            }
            Op::Invoke { script, .. } => collect(script, need.below(), true, needs),
            Op::Start { script, .. } => collect(script, Need::AtMostOnce, true, needs),
            Op::Send { script, .. } => collect(script, need, true, needs),
            Op::Set { tag, script, .. } => {
                let may = if need == Need::Never {
                    need
                } else {
                    Need::AtMostOnce
                };
                if counted {
                    needs.insert(*tag, may);
                }
                collect(script, may, counted, needs);
            }
            _ => {}
        }
    }
}

impl Need {
    fn below(self) -> Self {
        match self {
            Self::Once => Self::Once,
            Self::Never | Self::AtMostOnce => Self::AtMostOnce,
        }
    }
}
