//! What clients ask for, drawn by chance.

use crate::cast::{Kind, Op, Script, Who};
use crate::world::World;
use eddy_types::Timestamp;
use std::time::Duration;

/// What a client's operation is aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A method of an agent.
    Run(Who),
    /// The query of an agent.
    Value(Who),
    /// Deletion of an agent.
    Delete(Who),
    /// An import of an agent's state.
    Import(Who, Imported),
    /// A function, answered when it has ended.
    Function,
    /// A function, answered when it is accepted.
    Background,
}

/// What an import gives an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) count: i64,
    /// Its timer, and when that fires.
    pub(crate) tag: u64,
    pub(crate) at: Timestamp,
}

impl World {
    /// Something for a client to do.
    pub(crate) fn plan(&mut self) -> (Target, Script) {
        match self.dice.weighted(&[45, 22, 13, 12, 10]) {
            Some(0) => self.plan_counter(),
            Some(1) => self.plan_money(),
            Some(2) => self.plan_soft(),
            Some(3) => self.plan_register(),
            _ => self.plan_function(),
        }
    }

    fn any(&mut self, kind: Kind) -> Who {
        let all = self.cast.of_kind(kind);
        *self.dice.pick(&all)
    }

    fn inc(&mut self) -> Op {
        Op::Inc { tag: self.tag() }
    }

    fn plan_counter(&mut self) -> (Target, Script) {
        let who = self.any(Kind::Counter);
        let mut script = vec![self.inc()];
        match self.dice.weighted(&[20, 14, 6, 20, 6, 5, 5, 6, 6, 6]) {
            Some(1) => return (Target::Value(who), Vec::new()),
            Some(2) => script.push(Op::Throw),
            Some(3) => script.extend(self.chain(2)),
            Some(4) => {
                let calls = (0..2)
                    .map(|_| (self.any(Kind::Counter), vec![self.inc()]))
                    .collect();
                script.extend([
                    Op::Yield,
                    Op::Call {
                        calls,
                        catch: self.dice.chance(500),
                    },
                ]);
            }
            Some(5) => {
                let to = self.any(Kind::Counter);
                let start = Op::Start {
                    to,
                    script: vec![self.inc()],
                };
                script.extend([start, Op::Yield]);
            }
            Some(6) => {
                let to = self.any(Kind::Counter);
                let inner = vec![self.inc()];
                script.extend([Op::Yield, Op::Invoke { to, script: inner }]);
            }
            Some(7) => script.push(self.timer(Kind::Counter)),
            Some(8) => script.push(Op::Cancel {
                name: self.dice.below(2) as u8,
            }),
            Some(9) => {
                let to = self.any(Kind::Counter);
                let mut sent = vec![self.inc()];
                if self.dice.chance(400) {
                    sent.extend(self.chain(1));
                }
                script.push(Op::Send { to, script: sent });
            }
            _ => {}
        }
        (Target::Run(who), script)
    }

    /// Calls into other counters, up to `depth` more below.
    fn chain(&mut self, depth: usize) -> Vec<Op> {
        let to = self.any(Kind::Counter);
        let mut script = vec![self.inc()];
        if depth > 0 && self.dice.chance(600) {
            script.extend(self.chain(depth - 1));
        } else if self.dice.chance(150) {
            script.clear(); // a query
        }
        let call = Op::Call {
            calls: vec![(to, script)],
            catch: self.dice.chance(400),
        };
        vec![Op::Yield, call]
    }

    fn timer(&mut self, callee: Kind) -> Op {
        let (tag, to) = (self.tag(), self.any(callee));
        let script = match self.dice.below(3) {
            0 => vec![Op::Call {
                calls: vec![(to, vec![self.inc()])],
                catch: true,
            }],
            1 => vec![Op::Send {
                to,
                script: vec![self.inc()],
            }],
            _ => Vec::new(),
        };
        Op::Set {
            name: self.dice.below(2) as u8,
            delay: self.dice.between(0, 400),
            tag,
            script,
        }
    }

    fn movement(&mut self) -> Op {
        let kind = if self.dice.chance(300) {
            Kind::Soft
        } else {
            Kind::Account
        };
        let (to, amount) = (self.any(kind), self.dice.between(1, 20) as i64);
        let tag = self.tag();
        // The tag of its arrival.
        let _ = self.tag();
        Op::Move {
            to,
            amount,
            tag,
            poison: self.dice.chance(200),
        }
    }

    fn plan_money(&mut self) -> (Target, Script) {
        let who = self.any(Kind::Account);
        let mut script = vec![self.movement()];
        match self.dice.below(8) {
            0 => script.push(Op::Throw),
            1 => return (Target::Value(who), Vec::new()),
            2 => script.push(self.movement()),
            _ => {}
        }
        (Target::Run(who), script)
    }

    fn plan_soft(&mut self) -> (Target, Script) {
        let who = self.any(Kind::Soft);
        let script = match self.dice.below(5) {
            0 => vec![self.movement()],
            1 => return (Target::Value(who), Vec::new()),
            2 => vec![self.timer(Kind::Counter)],
            3 => vec![self.inc(), Op::Throw],
            _ => vec![self.inc()],
        };
        (Target::Run(who), script)
    }

    fn plan_register(&mut self) -> (Target, Script) {
        let who = self.any(Kind::Register);
        match self.dice.below(8) {
            0 => (Target::Delete(who), Vec::new()),
            7 => {
                let wait = Duration::from_millis(self.dice.between(0, 200));
                let imported = Imported {
                    count: self.dice.between(1, 50) as i64,
                    tag: self.tag(),
                    at: self.now.plus(wait),
                };
                (Target::Import(who, imported), Vec::new())
            }
            1 | 2 => (Target::Value(who), Vec::new()),
            3 => (Target::Run(who), vec![self.inc(), Op::Throw]),
            4 => (
                Target::Run(who),
                vec![
                    self.inc(),
                    Op::Set {
                        name: 0,
                        delay: 100,
                        tag: self.tag(),
                        script: vec![Op::Cancel { name: 1 }],
                    },
                ],
            ),
            _ => (Target::Run(who), vec![self.inc()]),
        }
    }

    fn plan_function(&mut self) -> (Target, Script) {
        let mut script = Vec::new();
        for _ in 0..self.dice.between(1, 2) {
            let to = self.any(Kind::Counter);
            script.push(match self.dice.below(3) {
                0 => Op::Call {
                    calls: vec![(to, vec![self.inc()])],
                    catch: true,
                },
                1 => Op::Yield,
                _ => Op::Send {
                    to,
                    script: vec![self.inc()],
                },
            });
        }
        if self.dice.chance(120) {
            script.push(Op::Throw);
        }
        let target = if self.dice.chance(500) {
            Target::Background
        } else {
            Target::Function
        };
        (target, script)
    }
}
