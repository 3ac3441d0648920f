//! Reading the log: pages, and a stream of server-sent events.

use super::{Client, PageQuery, paged};
use crate::log::{END, LogEntry, LogMissed, LogPage, MISSED};
use crate::problem::Problem;
use eddy_types::{EddyError, ErrorCode};
use eventsource_stream::{Event, EventStream, EventStreamError, Eventsource as _};
use futures::stream::{BoxStream, StreamExt as _};
use reqwest::Method;

/// Which lines of the log are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Of this app.
    pub app: Option<String>,
    /// Of this function.
    pub function: Option<String>,
    /// Of this agent type, or of the agent `TYPE/KEY`.
    pub agent: Option<String>,
    /// Of this invocation.
    pub invocation: Option<String>,
    /// At least this important.
    pub level: Option<String>,
    /// From this moment on: RFC 3339, or how long ago (`10m`).
    pub since: Option<String>,
}

/// What a stream of the log brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A line.
    Line(Box<LogEntry>),
    /// Lines were dropped before they were read.
    Missed(LogMissed),
}

/// A log that is followed.
pub struct LogStream {
    events: EventStream<BoxStream<'static, reqwest::Result<bytes::Bytes>>>,
    node: String,
}

impl Client {
    /// One page of the log, newest first.
    ///
    /// # Errors
    /// What the node says, or `node-unreachable`.
    pub async fn logs(&self, query: &LogQuery, page: &PageQuery) -> Result<LogPage, EddyError> {
        let request = self.request(Method::GET, &["logs"])?;
        let request = request.query(&query.pairs());
        self.document(paged(request, page)).await
    }

    /// Follows the log, from the newest `recent` lines on.
    ///
    /// # Errors
    /// What the node says, or `node-unreachable`.
    pub async fn follow_logs(
        &self,
        query: &LogQuery,
        recent: Option<usize>,
    ) -> Result<LogStream, EddyError> {
        let request = self.request(Method::GET, &["logs"])?;
        let mut request = request
            .query(&query.pairs())
            .header("accept", "text/event-stream");
        if let Some(recent) = recent {
            request = request.query(&[("limit", recent)]);
        }
        let bytes = self.send(request).await?.bytes_stream().boxed();
        Ok(LogStream {
            events: bytes.eventsource(),
            node: self.base.to_string(),
        })
    }
}

impl LogStream {
    /// Waits for what comes next.
    ///
    /// # Errors
    /// The node's reason when it ended the stream, and `connection-lost` when it went away.
    pub async fn next(&mut self) -> Result<LogEvent, EddyError> {
        loop {
            let event = match self.events.next().await {
                Some(Ok(event)) => event,
                Some(Err(EventStreamError::Transport(error))) => {
                    return Err(self.lost(&error.to_string()));
                }
                Some(Err(error)) => return Err(self.lost(&error.to_string())),
                None => return Err(self.lost("it closed the connection")),
            };
            if let Some(known) = read(&event).map_err(|why| self.lost(&why))? {
                return known;
            }
        }
    }

    fn lost(&self, why: &str) -> EddyError {
        let detail = format!("the log of {} ended: {why}", self.node);
        EddyError::new(ErrorCode::ConnectionLost, detail)
            .hint("Look whether the node still runs, and follow the log anew.")
    }
}

/// What an event says; none for those of a later version.
fn read(event: &Event) -> Result<Option<Result<LogEvent, EddyError>>, String> {
    let known = match event.event.as_str() {
        "message" => serde_json::from_str(&event.data).map(|line| Ok(LogEvent::Line(line))),
        MISSED => serde_json::from_str(&event.data).map(|missed| Ok(LogEvent::Missed(missed))),
        END => serde_json::from_str::<Problem>(&event.data).map(|problem| Err(problem.into())),
        _ => return Ok(None),
    };
    known
        .map(Some)
        .map_err(|error| format!("it sent {:?}: {error}", event.data))
}

impl LogQuery {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("app", &self.app),
            ("function", &self.function),
            ("agent", &self.agent),
            ("invocation", &self.invocation),
            ("level", &self.level),
            ("since", &self.since),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }
}
