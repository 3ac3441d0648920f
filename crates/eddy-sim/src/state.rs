//! What guests do with their own state, through the platform and through their globals: an
//! instance trusts what it remembers as long as it lives, and checks that nothing happens twice.

use crate::cast::{Kind, Op, Script, Who, encode};
use crate::guest::Flow;
use crate::node::{Run, RunKind};
use crate::world::{Broken, World};
use eddy_core::{StoreView as _, Value};
use eddy_types::EddyError;
use std::time::Duration;

impl World {
    /// Instructions that touch the agent's own state.
    pub(crate) fn execute_own(&mut self, run: &mut Run, op: Op) -> Result<Flow, Broken> {
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
                let whole: Script = std::iter::once(Op::Fire { name, tag })
                    .chain(script)
                    .collect();
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
                    return Err(format!(
                        "timer {name} of {agent} fires as {tag}, set is {set:?}"
                    ));
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
            return Err(format!(
                "send {n} from {from} to {to} follows number {seen}"
            ));
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
            return Err(format!(
                "effect {tag} on {} happens twice",
                self.cast.id(who)
            ));
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

    pub(crate) fn get(&mut self, run: &Run, who: Who, key: &str) -> Result<Option<i64>, Broken> {
        let agent = self.cast.id(who);
        let instance = self.node.instances.entry(agent.clone()).or_default();
        if let Some(cached) = instance.cache.get(key) {
            return Ok(*cached);
        }
        let (shard, durability) = (self.cast.shard(who), self.cast.kind(who).durability());
        let value = self.node.cores[shard]
            .reads(agent, durability, &run.effects)
            .get(key)
            .or_ask(|| self.node.stores[shard].state(agent, key))
            .map_err(|error| format!("a read failed: {error:?}"))?;
        let value = value.as_ref().map(crate::disk::number);
        instance.cache.insert(key.to_owned(), value);
        Ok(value)
    }

    fn put(
        &mut self,
        run: &mut Run,
        who: Who,
        key: &str,
        value: Option<i64>,
    ) -> Result<(), Broken> {
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
}
