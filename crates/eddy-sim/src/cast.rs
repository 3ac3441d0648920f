//! The agents of the play, and the little language their methods are written in.

use bytes::Bytes;
use eddy_types::{AgentId, Durability, FunctionId, Key, MethodName, Name, ShardMap, TenantId};
use serde::{Deserialize, Serialize};

/// What every account begins with.
pub(crate) const OPENING_BALANCE: i64 = 100;

/// What is checked of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Counts; calls others, sets timers.
    Counter,
    /// Holds money.
    Account,
    /// Holds money and counts, with durability `relaxed`.
    Soft,
    /// Counts and is deleted now and then.
    Register,
}

impl Kind {
    pub(crate) fn durability(self) -> Durability {
        match self {
            Self::Soft => Durability::Relaxed,
            _ => Durability::Synced,
        }
    }

    pub(crate) fn holds_money(self) -> bool {
        matches!(self, Self::Account | Self::Soft)
    }
}

/// An agent by its place in the cast.
pub(crate) type Who = usize;

/// One instruction of a guest. A method's argument is a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Count up by one. Each tag takes effect at most once in the whole run.
    Inc { tag: u64 },
    /// Send money away.
    Move {
        to: Who,
        amount: i64,
        tag: u64,
        poison: bool,
    },
    /// Money arrives: the `n`-th from this sender.
    Take {
        from: Who,
        n: i64,
        amount: i64,
        tag: u64,
        poison: bool,
    },
    /// Call others, all at once, and wait. With `catch`, a failed call does not end the turn.
    Call {
        calls: Vec<(Who, Vec<Op>)>,
        catch: bool,
    },
    /// Call another and do not wait.
    Start { to: Who, script: Vec<Op> },
    /// Invoke a function that calls another, and wait.
    Invoke { to: Who, script: Vec<Op> },
    /// Send a script to another.
    Send { to: Who, script: Vec<Op> },
    /// Set a timer (replacing one of that name) that runs a script.
    Set {
        name: u8,
        delay: u64,
        tag: u64,
        script: Vec<Op>,
    },
    /// Cancel a timer.
    Cancel { name: u8 },
    /// The timer fires.
    Fire { name: u8, tag: u64 },
    /// Let others run.
    Yield,
    /// Throw an error.
    Throw,
}

/// A handler's code.
pub(crate) type Script = Vec<Op>;

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) agents: Vec<(AgentId, Kind)>,
    pub(crate) map: ShardMap,
    pub(crate) run: MethodName,
    pub(crate) value: MethodName,
    pub(crate) function: FunctionId,
}

impl Cast {
    pub(crate) fn new(shards: u16) -> Self {
        let kinds = [
            (Kind::Counter, "counter", 4),
            (Kind::Account, "account", 3),
            (Kind::Soft, "soft", 2),
            (Kind::Register, "register", 2),
        ];
        let tenant = TenantId::default_tenant();
        let name = |text: &str| Name::new(text).expect("a valid name");
        let mut agents = Vec::new();
        for (kind, text, count) in kinds {
            for number in 0..count {
                let key = Key::new(&format!("{text}{number}")).expect("a valid key");
                agents.push((AgentId::new(tenant.clone(), name(text), key), kind));
            }
        }
        Self {
            agents,
            map: ShardMap::new(shards),
            run: MethodName::new("run").expect("a valid name"),
            value: MethodName::new("value").expect("a valid name"),
            function: FunctionId {
                tenant,
                name: name("job"),
            },
        }
    }

    pub(crate) fn id(&self, who: Who) -> &AgentId {
        &self.agents[who].0
    }

    pub(crate) fn kind(&self, who: Who) -> Kind {
        self.agents[who].1
    }

    pub(crate) fn who(&self, agent: &AgentId) -> Who {
        self.agents
            .iter()
            .position(|(id, _)| id == agent)
            .expect("every agent is in the cast")
    }

    pub(crate) fn of_kind(&self, kind: Kind) -> Vec<Who> {
        (0..self.agents.len())
            .filter(|who| self.kind(*who) == kind)
            .collect()
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &AgentId> {
        self.agents
            .iter()
            .filter(|(_, kind)| kind.holds_money())
            .map(|(agent, _)| agent)
    }

    pub(crate) fn shard(&self, who: Who) -> usize {
        usize::from(self.map.shard_of_agent(self.id(who)).0)
    }
}

pub(crate) fn encode(script: &[Op]) -> Bytes {
    Bytes::from(serde_json::to_vec(script).expect("a script is JSON"))
}

pub(crate) fn decode(argument: &[u8]) -> Result<Script, String> {
    serde_json::from_slice(argument).map_err(|error| format!("a guest got a bad argument: {error}"))
}
