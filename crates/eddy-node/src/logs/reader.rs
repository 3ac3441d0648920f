//! Following a log: a position in the ring, and waiting for what comes after it.

use super::{LogEntry, LogFilter, LogId, STRIDE, TenantLog};
use eddy_types::limits::MAX_LOG_READERS;
use eddy_types::{EddyError, ErrorCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// Where following begins.
#[derive(Clone, Copy, Debug)]
pub enum LogStart {
    /// With so many of the newest lines that the filter takes.
    Recent(usize),
    /// After this line.
    After(LogId),
}

/// What a reader hears.
#[derive(Debug)]
pub enum LogNews {
    /// Lines, oldest first.
    Lines(Vec<Arc<LogEntry>>),
    /// So many lines of the tenant went by unread, whether the filter takes them or not; none when
    /// nobody can tell, because the node was started anew.
    Missed(Option<u64>),
    /// The node stops: there is nothing more.
    Stopping,
}

/// Somebody who follows a log.
pub struct LogReader {
    log: Arc<TenantLog>,
    filter: LogFilter,
    next: u64,
    /// What went by in an earlier life of the node has not been told yet.
    other_life: bool,
    closing: CancellationToken,
    _slot: OwnedSemaphorePermit,
}

impl LogReader {
    pub(super) fn begin(
        log: Arc<TenantLog>,
        filter: LogFilter,
        start: LogStart,
        closing: CancellationToken,
    ) -> Result<Self, EddyError> {
        let slot = log.readers.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{MAX_LOG_READERS} readers follow the log already");
            EddyError::new(ErrorCode::Overloaded, detail)
                .hint("End some of them, or read a page without following.")
                .retry_after(Duration::from_secs(1))
        })?;
        let (next, other_life) = match start {
            LogStart::Recent(count) => {
                let end = log.ring.lock().end();
                let recent = log.older(&filter, end, count);
                (recent.last().map_or(end, |line| line.id.number), false)
            }
            LogStart::After(id) => {
                let end = log.ring.lock().end();
                match id.number.checked_add(1).filter(|next| *next <= end) {
                    Some(next) if id.epoch == log.epoch => (next, false),
                    _ => (0, true),
                }
            }
        };
        Ok(Self {
            log,
            filter,
            next,
            other_life,
            closing,
            _slot: slot,
        })
    }

    /// Waits for the next lines. Cancellation-safe: nothing is lost when it is dropped.
    pub async fn next(&mut self) -> LogNews {
        let log = self.log.clone();
        loop {
            // Before the look, so that a line between the look and the wait wakes it.
            let mut news = std::pin::pin!(log.news.notified());
            news.as_mut().enable();
            if let Some(found) = self.look() {
                return found;
            }
            tokio::select! {
                biased;
                () = news => {}
                () = self.closing.cancelled() => return LogNews::Stopping,
            }
        }
    }

    /// What is there now and was not read.
    fn look(&mut self) -> Option<LogNews> {
        if std::mem::take(&mut self.other_life) {
            self.next = self.log.ring.lock().first;
            return Some(LogNews::Missed(None));
        }
        loop {
            let ring = self.log.ring.lock();
            if self.next < ring.first {
                let missed = ring.first - self.next;
                self.next = ring.first;
                return Some(LogNews::Missed(Some(missed)));
            }
            let end = ring.end().min(self.next + STRIDE);
            if self.next >= end {
                return None;
            }
            let lines = ring.between(self.next, end);
            let wanted: Vec<_> = lines
                .filter(|line| self.filter.takes(line))
                .cloned()
                .collect();
            drop(ring);
            self.next = end;
            if !wanted.is_empty() {
                return Some(LogNews::Lines(wanted));
            }
        }
    }
}
