//! Which change writes which rows. Changes are absolute, so a record may be applied again over a
//! state that holds it already, and the state is the same.

use crate::agents::AgentRow;
use crate::rows::Rows;
use crate::writer::Writer;
use crate::{agents, dead_letters, dedupe, inbox, invocations, meta, outbox, state, timers};
use eddy_core::{Change, InboxRow, Record};
use eddy_types::{AgentId, EddyError, Seq, ShardId, Timestamp};
use std::collections::HashMap;

/// A batch is written when it holds this many bytes, at the end of a record.
const BATCH_BYTES: usize = 8 << 20;

/// The rows of one batch, with those that many changes touch held unencoded until its end.
struct Applier<'a> {
    writer: Writer<'a>,
    agents: HashMap<AgentId, Option<AgentRow>>,
    inbox: HashMap<ShardId, InboxRow>,
}

/// Applies records that follow each other and `applied`; calls `committed` with the sequence
/// after every batch.
pub(crate) fn apply<'r>(
    rows: &Rows,
    shard: ShardId,
    records: impl Iterator<Item = (Seq, &'r Record)>,
    mut committed: impl FnMut(Seq),
) -> Result<(), EddyError> {
    let mut applier = Applier::new(rows, shard);
    let mut last = None;
    for (seq, record) in records {
        for change in &record.changes {
            applier.change(record.at, change)?;
        }
        last = Some(seq);
        if applier.writer.bytes() >= BATCH_BYTES {
            std::mem::replace(&mut applier, Applier::new(rows, shard)).commit(seq)?;
            committed(seq);
            last = None;
        }
    }
    if let Some(seq) = last {
        applier.commit(seq)?;
        committed(seq);
    }
    Ok(())
}

impl<'a> Applier<'a> {
    fn new(rows: &'a Rows, shard: ShardId) -> Self {
        let writer = Writer::new(shard, rows);
        Self {
            writer,
            agents: HashMap::new(),
            inbox: HashMap::new(),
        }
    }

    fn change(&mut self, at: Timestamp, change: &Change) -> Result<(), EddyError> {
        match change {
            Change::Epoch { .. } => {}
            Change::AgentTouched { agent } => {
                let row = self.agent(agent)?;
                let created = row.map_or(at, |row| row.created);
                let updated = row.map_or(at, |row| row.updated.max(at));
                *row = Some(AgentRow { created, updated });
            }
            Change::StatePut { agent, key, value } => {
                self.updated(agent, at)?;
                state::put(&mut self.writer, agent, key, value);
            }
            Change::StateDelete { agent, key } => {
                self.updated(agent, at)?;
                state::delete(&mut self.writer, agent, key);
            }
            Change::AgentDeleted { agent } => {
                self.agents.insert(agent.clone(), None);
                state::delete_all(&mut self.writer, agent)?;
                timers::delete_all(&mut self.writer, agent)?;
            }
            Change::TimerPut { agent, name, timer } => {
                self.updated(agent, at)?;
                timers::put(&mut self.writer, agent, name, timer)?;
            }
            Change::TimerDelete { agent, name } => {
                self.updated(agent, at)?;
                timers::delete(&mut self.writer, agent, name)?;
            }
            delivery => self.delivery_change(delivery)?,
        }
        Ok(())
    }

    fn delivery_change(&mut self, change: &Change) -> Result<(), EddyError> {
        let writer = &mut self.writer;
        match change {
            Change::DedupePut { scope, key, row } => dedupe::put(writer, scope, key, row),
            Change::OutboxPut { dest, seq, send } => outbox::put(writer, *dest, *seq, send),
            Change::OutboxDone { dest, seq } => {
                outbox::done(writer, *dest, *seq);
                Ok(())
            }
            Change::InboxMark { source, seq, floor } => {
                self.inbox(*source)?.mark(*seq, *floor);
                Ok(())
            }
            Change::DeadLetterPut { id, letter } => dead_letters::put(writer, *id, letter),
            Change::DeadLetterDelete { id } => dead_letters::delete(writer, *id),
            Change::InvocationPut { id, row } => invocations::put(writer, *id, row),
            Change::Epoch { .. }
            | Change::AgentTouched { .. }
            | Change::StatePut { .. }
            | Change::StateDelete { .. }
            | Change::AgentDeleted { .. }
            | Change::TimerPut { .. }
            | Change::TimerDelete { .. } => unreachable!("an agent's own changes are `change`'s"),
        }
    }

    /// The row an agent will have, read once in a batch.
    fn agent(&mut self, agent: &AgentId) -> Result<&mut Option<AgentRow>, EddyError> {
        if !self.agents.contains_key(agent) {
            let row = agents::pending(&self.writer, agent)?;
            self.agents.insert(agent.clone(), row);
        }
        Ok(self.agents.get_mut(agent).expect("it was inserted above"))
    }

    fn updated(&mut self, agent: &AgentId, at: Timestamp) -> Result<(), EddyError> {
        if let Some(row) = self.agent(agent)? {
            row.updated = row.updated.max(at);
        }
        Ok(())
    }

    fn inbox(&mut self, source: ShardId) -> Result<&mut InboxRow, EddyError> {
        if !self.inbox.contains_key(&source) {
            let row = inbox::pending(&self.writer, source)?;
            self.inbox.insert(source, row);
        }
        Ok(self.inbox.get_mut(&source).expect("it was inserted above"))
    }

    fn commit(mut self, seq: Seq) -> Result<(), EddyError> {
        for (agent, row) in self.agents {
            match row {
                Some(row) => agents::put(&mut self.writer, &agent, row)?,
                None => agents::delete(&mut self.writer, &agent),
            }
        }
        for (source, row) in self.inbox {
            inbox::put(&mut self.writer, source, &row)?;
        }
        meta::put_applied(&mut self.writer, seq)?;
        self.writer.commit()
    }
}
