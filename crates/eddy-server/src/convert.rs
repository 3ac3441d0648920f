//! From what a node says to the documents of the API.

use eddy_api::{
    Agent, AgentRef, DeadLetter, DeadLetterSource, Invocation, InvocationStatus, InvocationTarget,
    LogEntry, LogLine, Problem, Token, json_or_text, rfc3339,
};
use eddy_core::Sender;
use eddy_node::{AgentInfo, DeadLetterInfo, InvocationInfo, TokenInfo};
use eddy_types::AgentId;

/// A token as the API shows it.
#[must_use]
pub fn token(info: TokenInfo) -> Token {
    Token {
        id: info.id,
        tenant: info.tenant.map(|tenant| tenant.to_string()),
        role: info.role.to_string(),
        name: info.name,
        created: rfc3339(info.created),
        expires: info.expires.map(rfc3339),
    }
}

pub(crate) fn agent(info: AgentInfo) -> Agent {
    Agent {
        agent_type: info.agent.agent_type().to_string(),
        key: info.agent.key().to_string(),
        created: rfc3339(info.created),
        updated: rfc3339(info.updated),
        active: info.active,
    }
}

fn agent_ref(agent: &AgentId) -> AgentRef {
    AgentRef {
        agent_type: agent.agent_type().to_string(),
        key: agent.key().to_string(),
    }
}

pub(crate) fn invocation(info: InvocationInfo) -> Invocation {
    let (result, error) = match &info.outcome {
        Some(Ok(result)) => (Some(json_or_text(result)), None),
        Some(Err(error)) => (None, Some(Problem::from(error))),
        None => (None, None),
    };
    let logs = info.logs.into_iter().map(|line| LogLine {
        at: rfc3339(line.at),
        level: line.level.to_owned(),
        message: line.message,
    });
    Invocation {
        id: info.id.to_string(),
        status: status(info.status),
        target: target(info.target),
        queued: rfc3339(info.queued),
        started: info.started.map(rfc3339),
        ended: info.ended.map(rfc3339),
        cold: info.cold,
        run_us: info.run_micros,
        memory_bytes: info.memory.map(|bytes| bytes as u64),
        attempts: info.attempts,
        durable: info.durable,
        result,
        error,
        logs: logs.collect(),
        traceparent: info.traceparent,
    }
}

fn status(status: eddy_node::InvocationStatus) -> InvocationStatus {
    match status {
        eddy_node::InvocationStatus::Queued => InvocationStatus::Queued,
        eddy_node::InvocationStatus::Running => InvocationStatus::Running,
        eddy_node::InvocationStatus::Succeeded => InvocationStatus::Succeeded,
        eddy_node::InvocationStatus::Failed => InvocationStatus::Failed,
    }
}

fn target(target: eddy_node::InvocationTarget) -> InvocationTarget {
    match target {
        eddy_node::InvocationTarget::Function(name) => InvocationTarget {
            function: Some(name.to_string()),
            ..InvocationTarget::default()
        },
        eddy_node::InvocationTarget::Method(agent, method) => InvocationTarget {
            agent: Some(agent_ref(&agent)),
            method: Some(method.to_string()),
            ..InvocationTarget::default()
        },
    }
}

/// A line of the log as the API has it.
#[must_use]
pub fn log_entry(line: &eddy_node::LogEntry) -> LogEntry {
    let source = &line.source;
    LogEntry {
        id: line.id.to_string(),
        at: rfc3339(line.at),
        level: line.level.as_str().to_owned(),
        app: source.app.to_string(),
        target: target(source.target.clone()),
        invocation: source.invocation.to_string(),
        message: line.message.clone(),
        failed: source.failed().map(|code| code.to_string()),
    }
}

/// The id's text form is what `Node::redrive` and `Node::discard` take.
pub(crate) fn dead_letter(info: DeadLetterInfo) -> DeadLetter {
    let id = info.name;
    let letter = info.letter;
    let from = match &letter.from {
        Sender::Agent(agent) => DeadLetterSource {
            agent: Some(agent_ref(agent)),
            ..DeadLetterSource::default()
        },
        Sender::Invocation(id) => DeadLetterSource {
            invocation: Some(id.to_string()),
            ..DeadLetterSource::default()
        },
    };
    DeadLetter {
        id,
        from,
        to: agent_ref(&letter.to),
        method: letter.method.to_string(),
        argument: json_or_text(&letter.argument),
        timer: letter.timer,
        error: Problem::from(&letter.error),
        attempts: letter.attempts,
        at: rfc3339(letter.at),
    }
}
