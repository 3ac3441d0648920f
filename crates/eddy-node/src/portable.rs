//! An agent's durable state as a whole: taken out, and put in. Documents of it are eddy-api's.

use crate::facade::{AgentExport, CallOptions};
use crate::listing::unknown_agent;
use crate::node::Node;
use crate::tasks;
use eddy_core::{Import, StoreView};
use eddy_types::limits::{MAX_AGENT_DOCUMENT_BYTES, MAX_VALUE_BYTES};
use eddy_types::{AgentId, Durability, EddyError, ErrorCode};
use tokio::sync::SemaphorePermit;

/// State entries that are read at once, before their size is known: as large as they may be, they are a document.
const PAGE: usize = MAX_AGENT_DOCUMENT_BYTES / MAX_VALUE_BYTES;
/// What an entry takes besides its key and its value, in bytes.
const ENTRY: usize = 64;
/// Agents that are exported or imported at once, of a tenant other than the default one 1: each takes a processor for as
/// long as it is large.
pub(crate) const AT_ONCE: usize = 2;

impl Node {
    /// Everything durable that belongs to an agent, as it was at one moment between two turns, without
    /// waking it, as `shaped`, which runs where work may take long. What it was told before this call is
    /// part of it.
    ///
    /// # Errors
    /// `unknown-agent`, `limit-exceeded` beyond [`MAX_AGENT_DOCUMENT_BYTES`], `invalid-argument` for a
    /// type whose state is in memory only, `store-failed`, and those of `shaped`.
    pub async fn export_agent<T: Send + 'static>(
        &self,
        agent: &AgentId,
        shaped: impl FnOnce(AgentExport) -> Result<T, EddyError> + Send + 'static,
    ) -> Result<T, EddyError> {
        let inner = self.inner.clone();
        refuse_volatile(inner.catalog.durability_of(agent), agent)?;
        let account = inner.access.account(agent.tenant());
        // The tenant's own turn first, or its documents would stand in everybody's line.
        let _own = account.document().await?;
        let _turn = self.documents().await?;
        inner.caught_up_with(agent).await;
        let agent = agent.clone();
        let read = move || {
            let view = inner.store.snapshot(inner.map.shard_of_agent(&agent));
            match view.agent_exists(&agent)? {
                true => shaped(read(&agent, &view)?),
                false => Err(unknown_agent(&agent)),
            }
        };
        tasks::blocking(read).await?
    }

    async fn documents(&self) -> Result<SemaphorePermit<'_>, EddyError> {
        let turn = self.inner.documents.acquire().await;
        turn.map_err(|_| EddyError::internal("the places of documents were closed"))
    }

    /// Gives an agent the state and timers of what `document` reads, where work may take long, as one turn
    /// without a guest. Says whether it replaced something.
    ///
    /// # Errors
    /// `agent-exists`, `record-too-large`, `limit-exceeded`, `unknown-agent-type`, `unknown-method` for
    /// one that a timer calls, `storage-limit`, `invalid-argument` for a type whose state is in memory
    /// only; those of `document`, and of a call.
    pub async fn import_agent(
        &self,
        agent: AgentId,
        document: impl FnOnce() -> Result<Import, EddyError> + Send + 'static,
        options: CallOptions,
    ) -> Result<bool, EddyError> {
        let inner = &self.inner;
        let account = inner.access.account(agent.tenant());
        let turns = (account.document().await?, self.documents().await?);
        let import = tasks::blocking(document).await??;
        drop(turns);
        inner
            .catalog
            .agent_type(agent.tenant(), agent.agent_type())?;
        refuse_volatile(inner.catalog.durability_of(&agent), &agent)?;
        for method in import.methods() {
            inner.catalog.method(&agent, method)?;
        }
        account.may_store()?;
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
            grown(key.len() + value.len() + ENTRY)?;
            export.state.push((key, value));
        }
        if last {
            break;
        }
    }
    for (name, _) in view.timers_of(agent)? {
        if let Some(timer) = view.timer(agent, &name)? {
            grown(name.len() + timer.argument.len() + ENTRY)?;
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
