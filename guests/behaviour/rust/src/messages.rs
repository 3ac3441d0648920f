//! Sends, timers, and globals that go when a turn is discarded.

use eddy_sdk::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::time::Duration;

thread_local! {
    static WORD: RefCell<Option<String>> = const { RefCell::new(None) };
}

#[agent]
pub struct Inbox;

#[agent]
pub struct Alarm;

#[agent]
pub struct Cache;

#[derive(Deserialize, Serialize)]
pub struct Note {
    note: String,
}

#[derive(Deserialize)]
pub struct Letters {
    to: String,
    notes: Vec<String>,
}

#[derive(Deserialize)]
pub struct Arm {
    ms: u64,
    note: String,
    name: Option<String>,
}

#[derive(Deserialize)]
pub struct Twice {
    ms: u64,
    first: String,
    second: String,
}

#[derive(Deserialize)]
pub struct Word {
    word: String,
}

fn add(ctx: &AgentContext, Note { note }: Note) -> Result<()> {
    let mut notes = notes(ctx)?;
    notes.push(note);
    ctx.state.set("notes", notes)
}

fn notes(ctx: &AgentContext) -> Result<Vec<String>> {
    Ok(ctx.state.get("notes")?.unwrap_or_default())
}

fn changed_mind() -> EddyError {
    EddyError::new("changed-mind", "nothing of this turn is to stay")
}

#[agent]
impl Inbox {
    pub fn receive(ctx: &AgentContext, note: Note) -> Result<()> {
        add(ctx, note)
    }

    #[query]
    pub fn received(ctx: &AgentContext) -> Result<Vec<String>> {
        notes(ctx)
    }

    pub fn pass_on(ctx: &AgentContext, Letters { to, notes }: Letters) -> Result<()> {
        let inbox = ctx.sender::<Inbox>(&to);
        for note in notes {
            inbox.receive(Note { note })?;
        }
        Ok(())
    }

    pub fn pass_on_then_fail(ctx: &AgentContext, letters: Letters) -> Result<()> {
        Self::pass_on(ctx, letters)?;
        Err(changed_mind())
    }
}

#[agent]
impl Alarm {
    pub fn arm(ctx: &AgentContext, Arm { ms, note, name }: Arm) -> Result<()> {
        let time = Duration::from_millis(ms);
        match name {
            Some(name) => ctx.after_named(&name, time, "ring", Note { note }),
            None => ctx.after(time, "ring", Note { note }),
        }
    }

    pub fn arm_twice(ctx: &AgentContext, Twice { ms, first, second }: Twice) -> Result<()> {
        let time = Duration::from_millis(ms);
        ctx.after_named("twice", time, "ring", json!({ "note": first }))?;
        ctx.after_named("twice", time, "ring", json!({ "note": second }))
    }

    pub fn arm_then_fail(ctx: &AgentContext, Arm { ms, note, .. }: Arm) -> Result<()> {
        ctx.after(Duration::from_millis(ms), "ring", Note { note })?;
        Err(changed_mind())
    }

    pub fn disarm(ctx: &AgentContext, name: String) -> Result<bool> {
        ctx.cancel(&name)
    }

    pub fn ring(ctx: &AgentContext, note: Note) -> Result<()> {
        add(ctx, note)
    }

    #[query]
    pub fn rung(ctx: &AgentContext) -> Result<Vec<String>> {
        notes(ctx)
    }
}

#[agent]
impl Cache {
    pub fn remember(_ctx: &AgentContext, Word { word }: Word) -> Result<()> {
        WORD.set(Some(word));
        Ok(())
    }

    #[query]
    pub fn remembered(_ctx: &AgentContext) -> Result<Option<String>> {
        Ok(WORD.with_borrow(Clone::clone))
    }

    pub fn remember_then_fail(ctx: &AgentContext, Word { word }: Word) -> Result<()> {
        WORD.set(Some(word.clone()));
        ctx.state.set("word", word)?;
        Err(changed_mind())
    }
}
