//! The log of a tenant's guests: a page of recent lines, or a stream of server-sent events.

use crate::caller::{Look, Who};
use crate::convert;
use crate::reply::{Failure, document};
use crate::request::Parameters;
use crate::state::AppState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use eddy_api::{LogMissed, LogPage, Problem, log};
use eddy_core::MessageId;
use eddy_node::{
    LogEntry, LogFilter, LogId, LogLevel, LogNews, LogReader, LogSince, LogStart, PageRequest,
    Session,
};
use eddy_types::limits::MAX_PAGE;
use eddy_types::{EddyError, ErrorCode, Key, Name, Timestamp};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use utoipa::IntoParams;

/// The header with which a stream goes on after a line.
const LAST_EVENT_ID: &str = "last-event-id";
/// Lines that a stream begins with unless it is told otherwise.
const RECENT: usize = 100;
/// A quiet stream says so often that it is there: so both sides notice when the other is gone.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Which lines are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogParameters {
    /// Only lines of this app.
    app: Option<String>,
    /// Only lines of this function.
    function: Option<String>,
    /// Only lines of this agent type, or of the agent `type/key`.
    agent: Option<String>,
    /// Only lines of this invocation.
    invocation: Option<String>,
    /// Only lines at least this important: `trace`, `debug`, `info`, `warn` or `error`.
    level: Option<String>,
    /// Only lines from this moment on: RFC 3339, or how long ago (`10m`).
    since: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Lines wanted, at most 1000; of a stream: so many of the newest to begin with, 0 for none.
    #[param(minimum = 0, maximum = 1000)]
    limit: Option<usize>,
    /// `true` for a stream, as with `Accept: text/event-stream`.
    #[serde(default)]
    #[param(required = false)]
    follow: bool,
}

/// Read the log
///
/// What guests log, newest first: the recent lines that the node has in memory. As a stream of
/// server-sent events it begins with the newest lines, oldest first, and goes on with each as it is
/// written: one event per line with the line's id; the event `missed` when lines were dropped
/// before they were read; and the event `end` with a problem document when the node stops.
#[utoipa::path(
    get,
    path = "/v1/logs",
    tag = "logs",
    operation_id = "readLogs",
    params(
        LogParameters,
        ("Last-Event-ID" = Option<String>, Header, description = "Of a stream: go on after this line, as far as the node still has what followed"),
    ),
    responses(
        (status = 200, description = "A page of lines, or a stream", content((LogPage = "application/json"), (String = "text/event-stream"))),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    who: Who<Look>,
    Parameters(parameters): Parameters<LogParameters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let filter = parameters.filter()?;
    if parameters.follow || wants_stream(&headers) {
        let start = parameters.start(&headers)?;
        let reader = state.node.follow_logs(who.tenant(), filter, start)?;
        return Ok(stream(reader, state, (*who).clone()));
    }
    let page = PageRequest {
        cursor: parameters.cursor,
        limit: parameters.limit,
    };
    let page = state.node.logs(who.tenant(), filter, &page)?;
    let items = page.items.iter().map(|line| convert::log_entry(line));
    let page = LogPage {
        items: items.collect(),
        next: page.next,
    };
    Ok(document(StatusCode::OK, &page))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|text| text.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

impl LogParameters {
    fn filter(&self) -> Result<LogFilter, EddyError> {
        let name = |text: &Option<String>| text.as_deref().map(Name::new).transpose();
        let (agent_type, key) = match self.agent.as_deref().map(|text| text.split_once('/')) {
            None => (None, None),
            Some(None) => (name(&self.agent)?, None),
            Some(Some((agent_type, key))) => (Some(Name::new(agent_type)?), Some(Key::new(key)?)),
        };
        Ok(LogFilter {
            app: name(&self.app)?,
            function: name(&self.function)?,
            agent_type,
            key,
            invocation: self.invocation.as_deref().map(invocation).transpose()?,
            level: self.level.as_deref().map(level).transpose()?,
            since: self.since.as_deref().map(since).transpose()?,
        })
    }

    fn start(&self, headers: &HeaderMap) -> Result<LogStart, EddyError> {
        if self.cursor.is_some() {
            return Err(wrong("a stream takes no cursor".to_owned())
                .hint("Send the id of the last line as the header Last-Event-ID."));
        }
        let last = headers.get(LAST_EVENT_ID).map(HeaderValue::to_str);
        match last {
            Some(Ok(id)) => Ok(LogStart::After(id.parse::<LogId>()?)),
            Some(Err(_)) => Err(wrong("the header Last-Event-ID is not text".to_owned())),
            None => Ok(LogStart::Recent(self.limit.unwrap_or(RECENT).min(MAX_PAGE))),
        }
    }
}

fn wrong(detail: String) -> EddyError {
    EddyError::new(ErrorCode::InvalidArgument, detail)
}

fn invocation(text: &str) -> Result<MessageId, EddyError> {
    text.parse().map_err(|why: &str| {
        wrong(format!("{text:?} names no invocation: {why}"))
            .hint("Take the id from the header Eddy-Invocation, or from /v1/invocations.")
    })
}

fn level(text: &str) -> Result<LogLevel, EddyError> {
    let known = LogLevel::ALL
        .into_iter()
        .find(|level| level.as_str() == text);
    known.ok_or_else(|| {
        wrong(format!("{text:?} is not a level of the log"))
            .hint("Write trace, debug, info, warn or error.")
    })
}

fn since(text: &str) -> Result<LogSince, EddyError> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(LogSince::Ago(ago));
    }
    let moment = humantime::parse_rfc3339_weak(text).ok();
    let moment = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    match moment.and_then(|since| u64::try_from(since.as_millis()).ok()) {
        Some(millis) => Ok(LogSince::At(Timestamp(millis))),
        None => Err(wrong(format!("{text:?} is not a moment"))
            .hint("Write how long ago, such as 10m, or 2026-01-31T12:00:00Z.")),
    }
}

/// A stream under way.
struct Streaming {
    reader: LogReader,
    lines: VecDeque<Arc<LogEntry>>,
    ended: bool,
    state: AppState,
    session: Session,
}

fn stream(reader: LogReader, state: AppState, session: Session) -> Response {
    let streaming = Streaming {
        state,
        session,
        reader,
        lines: VecDeque::new(),
        ended: false,
    };
    let events = futures::stream::unfold(streaming, |mut streaming| async {
        let event = streaming.next().await?;
        Some((Ok::<_, Infallible>(event), streaming))
    });
    let mut response = Sse::new(events).into_response();
    // For proxies that gather what they pass on.
    let buffering = HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", buffering);
    response
}

impl Streaming {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if let Some(line) = self.lines.pop_front() {
            return Some(event_of(&line));
        }
        let news = tokio::time::timeout(ALIVE_EVERY, self.reader.next()).await;
        // Its token may have been revoked since the last line, or be over.
        if let Err(error) = self.state.node.session_again(&self.session, None) {
            self.ended = true;
            return Some(event(log::END, &Problem::from(&error)));
        }
        let Ok(news) = news else {
            return Some(Event::default().comment(""));
        };
        Some(match news {
            LogNews::Lines(lines) => {
                self.lines = lines.into();
                let line = self.lines.pop_front()?;
                event_of(&line)
            }
            LogNews::Missed(lines) => event(log::MISSED, &LogMissed { lines }),
            LogNews::Stopping => {
                self.ended = true;
                let error = EddyError::new(ErrorCode::ShuttingDown, "the node is stopping")
                    .hint("Follow the log anew when it is back.");
                event(log::END, &Problem::from(&error))
            }
        })
    }
}

fn event_of(line: &LogEntry) -> Event {
    let document = json(&convert::log_entry(line));
    Event::default().id(line.id.to_string()).data(document)
}

fn event(name: &str, data: &impl serde::Serialize) -> Event {
    Event::default().event(name).data(json(data))
}

fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string(document).expect("documents of the API are plain data")
}
