//! What guests log, as they write it: a ring of recent lines per tenant, which readers page through
//! or follow. Readers keep a position in the ring and nothing else, so a slow one holds nobody up: it
//! is told how many lines went by. What one invocation gathers for its record is in `turn.rs`.

mod reader;
mod turn;

pub use reader::{LogNews, LogReader, LogStart};
pub(crate) use turn::TurnLog;

use crate::clock;
use crate::facade::{InvocationTarget, Page, PageRequest};
use crate::listing::{bad_cursor, limit_of};
use crate::node::Node;
use eddy_core::MessageId;
use eddy_types::limits::{MAX_LOG_BYTES_KEPT, MAX_LOG_LINES_KEPT, MAX_LOG_READERS};
use eddy_types::{EddyError, ErrorCode, HashMap, Key, Name, TenantId, Timestamp};
pub use eddy_wasm::LogLevel;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// Lines looked at while the ring is held.
const STRIDE: u64 = 256;
/// What a line takes besides its text.
const LINE: usize = 128;

/// Who logs: shared by the lines of one attempt at an invocation.
#[derive(Debug)]
pub struct LogSource {
    /// The app whose code runs.
    pub app: Name,
    /// What runs.
    pub target: InvocationTarget,
    /// The invocation.
    pub invocation: MessageId,
    failed: OnceLock<ErrorCode>,
}

impl LogSource {
    pub(crate) fn new(app: Name, target: InvocationTarget, invocation: MessageId) -> Self {
        Self {
            app,
            target,
            invocation,
            failed: OnceLock::new(),
        }
    }

    /// How the attempt failed, once that is known: nothing that it buffered took effect.
    #[must_use]
    pub fn failed(&self) -> Option<ErrorCode> {
        self.failed.get().copied()
    }
}

/// One line that a guest logged, or that says how an attempt failed.
#[derive(Debug)]
pub struct LogEntry {
    /// Names the line; readers go on after it.
    pub id: LogId,
    /// When.
    pub at: Timestamp,
    /// How important.
    pub level: LogLevel,
    /// The text; it may have several lines.
    pub message: String,
    /// Who logged it.
    pub source: Arc<LogSource>,
}

/// The place of a line among those of its tenant, in one life of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId {
    /// When the node started, in milliseconds: numbers begin anew then.
    epoch: u64,
    number: u64,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.number)
    }
}

impl FromStr for LogId {
    type Err = EddyError;

    fn from_str(text: &str) -> Result<Self, EddyError> {
        let parts = text.split_once('-').and_then(|(epoch, number)| {
            Some(Self {
                epoch: u64::from_str_radix(epoch, 16).ok()?,
                number: number.parse().ok()?,
            })
        });
        parts.ok_or_else(|| {
            let detail = format!("{text:?} is not the id of a log line");
            EddyError::new(ErrorCode::InvalidArgument, detail)
                .hint("Hand in an id that the log gave, unchanged.")
        })
    }
}

/// Which lines are wanted; each part narrows it down.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Of this app.
    pub app: Option<Name>,
    /// Of this function.
    pub function: Option<Name>,
    /// Of agents of this type.
    pub agent_type: Option<Name>,
    /// Of agents with this key.
    pub key: Option<Key>,
    /// Of this invocation.
    pub invocation: Option<MessageId>,
    /// At least this important.
    pub level: Option<LogLevel>,
    /// From this moment on.
    pub since: Option<LogSince>,
}

/// A moment in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSince {
    /// By the clock.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
}

impl LogFilter {
    /// A moment that was given by its distance is fixed when reading begins.
    fn fixed(mut self) -> Self {
        if let Some(LogSince::Ago(ago)) = self.since {
            let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            self.since = Some(LogSince::At(Timestamp(clock::now().0.saturating_sub(ago))));
        }
        self
    }

    fn takes(&self, line: &LogEntry) -> bool {
        let source = &line.source;
        let of_target = match &source.target {
            InvocationTarget::Function(name) => {
                self.agent_type.is_none()
                    && self.key.is_none()
                    && self.function.as_ref().is_none_or(|wanted| wanted == name)
            }
            InvocationTarget::Method(agent, _) => {
                let agent_type = self.agent_type.as_ref();
                self.function.is_none()
                    && agent_type.is_none_or(|wanted| wanted == agent.agent_type())
                    && self.key.as_ref().is_none_or(|wanted| wanted == agent.key())
            }
        };
        of_target
            && self.level.is_none_or(|least| line.level >= least)
            && self.app.as_ref().is_none_or(|app| *app == source.app)
            && self.invocation.is_none_or(|id| id == source.invocation)
            && !matches!(self.since, Some(LogSince::At(since)) if line.at < since)
    }
}

/// The logs of all tenants.
pub(crate) struct LogHub {
    epoch: u64,
    closing: CancellationToken,
    tenants: RwLock<HashMap<TenantId, Arc<TenantLog>>>,
}

/// The log of one tenant.
pub(crate) struct TenantLog {
    epoch: u64,
    ring: Mutex<Ring>,
    /// Wakes those who follow.
    news: Notify,
    readers: Arc<Semaphore>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Arc<LogEntry>>,
    /// The number of the oldest line.
    first: u64,
    bytes: usize,
}

impl Ring {
    /// The number of the line after the newest.
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn between(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Arc<LogEntry>> {
        let place = |number: u64| number.clamp(self.first, self.end()) - self.first;
        // Places within the ring, whose length is a usize.
        self.lines.range(place(from) as usize..place(to) as usize)
    }

    fn shrink(&mut self) {
        while self.bytes > MAX_LOG_BYTES_KEPT || self.lines.len() > MAX_LOG_LINES_KEPT {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= oldest.message.len() + LINE;
            self.first += 1;
        }
    }
}

impl LogHub {
    pub(crate) fn new(closing: CancellationToken) -> Self {
        Self {
            epoch: clock::now().0,
            closing,
            tenants: RwLock::default(),
        }
    }

    /// The log of a tenant; made at its first line or reader.
    pub(crate) fn of(&self, tenant: &TenantId) -> Arc<TenantLog> {
        if let Some(log) = self.tenants.read().get(tenant) {
            return log.clone();
        }
        let mut tenants = self.tenants.write();
        let log = tenants.entry(tenant.clone()).or_insert_with(|| {
            Arc::new(TenantLog {
                epoch: self.epoch,
                ring: Mutex::default(),
                news: Notify::new(),
                readers: Arc::new(Semaphore::new(MAX_LOG_READERS)),
            })
        });
        log.clone()
    }
}

impl TenantLog {
    fn push(&self, at: Timestamp, level: LogLevel, message: String, source: &Arc<LogSource>) {
        let mut ring = self.ring.lock();
        let id = LogId {
            epoch: self.epoch,
            number: ring.end(),
        };
        ring.bytes += message.len() + LINE;
        ring.lines.push_back(Arc::new(LogEntry {
            id,
            at,
            level,
            message,
            source: source.clone(),
        }));
        ring.shrink();
        drop(ring);
        self.news.notify_waiters();
    }

    /// Lines before number `before`, newest first, at most `limit`.
    fn older(&self, filter: &LogFilter, before: u64, limit: usize) -> Vec<Arc<LogEntry>> {
        let mut found = Vec::new();
        let mut end = before;
        while found.len() < limit {
            let ring = self.ring.lock();
            end = end.min(ring.end());
            if end <= ring.first {
                break;
            }
            let start = end.saturating_sub(STRIDE);
            let wanted = ring
                .between(start, end)
                .rev()
                .filter(|line| filter.takes(line));
            found.extend(wanted.take(limit - found.len()).cloned());
            end = start;
        }
        found
    }
}

impl Node {
    /// Recent lines of a tenant's log, newest first.
    ///
    /// # Errors
    /// `invalid-argument` for a cursor that no page gave, or that an earlier life of the node gave.
    pub fn logs(
        &self,
        tenant: &TenantId,
        filter: LogFilter,
        page: &PageRequest,
    ) -> Result<Page<Arc<LogEntry>>, EddyError> {
        let hub = &self.inner.logs;
        let before = match page.cursor.as_deref().map(LogId::from_str).transpose() {
            Ok(None) => u64::MAX,
            Ok(Some(id)) if id.epoch == hub.epoch => id.number,
            Ok(Some(_)) | Err(_) => return Err(bad_cursor()),
        };
        let limit = limit_of(page);
        let mut items = hub.of(tenant).older(&filter.fixed(), before, limit + 1);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|line| line.id.to_string());
        Ok(Page { items, next })
    }

    /// Follows a tenant's log from `start` on, until the node stops.
    ///
    /// # Errors
    /// `overloaded` when [`MAX_LOG_READERS`] follow it already.
    pub fn follow_logs(
        &self,
        tenant: &TenantId,
        filter: LogFilter,
        start: LogStart,
    ) -> Result<LogReader, EddyError> {
        let hub = &self.inner.logs;
        LogReader::begin(hub.of(tenant), filter.fixed(), start, hub.closing.clone())
    }
}

#[cfg(test)]
mod tests;
