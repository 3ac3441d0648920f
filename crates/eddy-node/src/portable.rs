//! An agent's durable state as a whole: taken out, and put in. Documents of it are eddy-api's.

use crate::facade::{AgentExport, CallOptions};
use crate::listing::unknown_agent;
use crate::node::Node;
use eddy_core::{Import, StoreView};
use eddy_types::limits::{MAX_AGENT_DOCUMENT_BYTES, MAX_PAGE};
use eddy_types::{AgentId, Durability, EddyError, ErrorCode};

/// State entries that are read at once.
const PAGE: usize = 32;
const _: () = assert!(PAGE <= MAX_PAGE);

impl Node {
    /// Everything durable that belongs to an agent, as it was at one moment between two turns, without
    /// waking it. What it was told before this call is part of it.
    ///
    /// # Errors
    /// `unknown-agent`, `limit-exceeded` beyond [`MAX_AGENT_DOCUMENT_BYTES`], `invalid-argument` for a
    /// type whose state is in memory only, `store-failed`.
    pub async fn export_agent(&self, agent: &AgentId) -> Result<AgentExport, EddyError> {
        let inner = &self.inner;
        refuse_volatile(inner.catalog.durability_of(agent), agent)?;
        inner.caught_up().await;
        let view = inner.store.snapshot(inner.map.shard_of_agent(agent));
        if !view.agent_exists(agent)? {
            return Err(unknown_agent(agent));
        }
        read(agent, &view)
    }

    /// Gives an agent the state and timers of `import`, as one turn without a guest. Says whether it
    /// replaced something.
    ///
    /// # Errors
    /// `agent-exists`, `record-too-large`, `limit-exceeded`, `unknown-agent-type`, `unknown-method` for
    /// one that a timer calls, `storage-limit`, `invalid-argument` for a type whose state is in memory
    /// only; those of a call besides.
    pub async fn import_agent(
        &self,
        agent: AgentId,
        import: Import,
        options: CallOptions,
    ) -> Result<bool, EddyError> {
        let inner = &self.inner;
        inner
            .catalog
            .agent_type(agent.tenant(), agent.agent_type())?;
        refuse_volatile(inner.catalog.durability_of(&agent), &agent)?;
        for method in import.methods() {
            inner.catalog.method(&agent, method)?;
        }
        inner.access.account(agent.tenant()).may_store()?;
        let reply = self.ask_import(agent, import, options).await?;
        Ok(reply.outcome? == b"true"[..])
    }
}

fn refuse_volatile(durability: Option<Durability>, agent: &AgentId) -> Result<(), EddyError> {
    if durability != Some(Durability::None) {
        return Ok(());
    }
    let detail = format!(
        "agents of the type {} have durability \"none\": their state is in memory only",
        agent.agent_type()
    );
    Err(EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Choose another `durability` for the type in eddy.toml, or move the state by calls of its methods."))
}

fn read<V: StoreView>(agent: &AgentId, view: &V) -> Result<AgentExport, EddyError> {
    let mut export = AgentExport::default();
    let mut bytes = 0;
    let mut grown = |by: usize| {
        bytes += by;
        match bytes <= MAX_AGENT_DOCUMENT_BYTES {
            true => Ok(()),
            false => Err(too_large(agent)),
        }
    };
    loop {
        let after = export.state.last().map(|(key, _)| key.as_str());
        let page = view.state_range(agent, "", after, PAGE)?;
        let last = page.len() < PAGE;
        for (key, value) in page {
            grown(key.len() + value.len())?;
            export.state.push((key, value));
        }
        if last {
            break;
        }
    }
    for name in view.timers_of(agent)? {
        if let Some(timer) = view.timer(agent, &name)? {
            grown(name.len() + timer.argument.len())?;
            export.timers.push((name, timer));
        }
    }
    Ok(export)
}

fn too_large(agent: &AgentId) -> EddyError {
    let detail = format!(
        "{agent} holds more than the {MAX_AGENT_DOCUMENT_BYTES} bytes that one document may"
    );
    EddyError::new(ErrorCode::LimitExceeded, detail)
        .hint("Have a query of the agent give its state in parts.")
}
