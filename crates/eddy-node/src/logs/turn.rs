//! The log of one attempt at an invocation: what its record keeps, and who it is to the ring. Nothing
//! is allocated before the first line.

use super::{LogHub, LogSource, TenantLog};
use crate::clock;
use crate::facade::LogLine;
use crate::recent::LOG_LINE;
use eddy_types::limits::MAX_LOG_BYTES_PER_INVOCATION;
use eddy_types::{EddyError, TenantId};
use eddy_wasm::LogLevel;
use std::sync::Arc;

/// Longest text of a line that says how an attempt failed, in bytes.
const FAILURE: usize = 4 << 10;

/// What an attempt has logged so far.
#[derive(Default)]
pub(crate) struct TurnLog {
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: usize,
    open: Option<Open>,
}

struct Open {
    source: Arc<LogSource>,
    log: Arc<TenantLog>,
}

impl TurnLog {
    /// Takes a line of the guest. `who` is asked at the first one.
    pub(crate) fn line(
        &mut self,
        hub: &LogHub,
        level: LogLevel,
        message: &str,
        who: impl FnOnce() -> (TenantId, LogSource),
    ) {
        let bytes = message.len() + LOG_LINE;
        if self.bytes + bytes > MAX_LOG_BYTES_PER_INVOCATION {
            self.dropped += 1;
            return;
        }
        self.bytes += bytes;
        self.keep(hub, level, message.to_owned(), who);
    }

    /// The attempt is over: its lines are marked when it failed, and how is a line of its own, but not
    /// one of the invocation's record, which has the error.
    pub(crate) fn end(
        mut self,
        hub: &LogHub,
        error: Option<&EddyError>,
        who: impl Fn() -> (TenantId, LogSource),
    ) -> Vec<LogLine> {
        if self.dropped > 0 {
            let message = format!("{} more lines were dropped: the log is full", self.dropped);
            self.keep(hub, LogLevel::Warn, message, &who);
        }
        if let Some(error) = error {
            let Open { source, log } = self.open(hub, who);
            let _ = source.failed.set(error.code);
            log.push(clock::now(), LogLevel::Error, failure(error), source);
        }
        self.lines
    }

    fn keep(
        &mut self,
        hub: &LogHub,
        level: LogLevel,
        message: String,
        who: impl FnOnce() -> (TenantId, LogSource),
    ) {
        let at = clock::now();
        let Open { source, log } = self.open(hub, who);
        log.push(at, level, message.clone(), source);
        self.lines.push(LogLine {
            at,
            level: level.as_str(),
            message,
        });
    }

    fn open(&mut self, hub: &LogHub, who: impl FnOnce() -> (TenantId, LogSource)) -> &Open {
        self.open.get_or_insert_with(|| {
            let (tenant, source) = who();
            Open {
                source: Arc::new(source),
                log: hub.of(&tenant),
            }
        })
    }
}

/// An error as a line: what happened, and where the guest threw it.
fn failure(error: &EddyError) -> String {
    let mut text = format!("failed: {}: {}", error.code, error.detail);
    let stack = error.guest.as_ref().and_then(|guest| guest.stack.as_ref());
    for line in stack.map_or("", String::as_str).lines() {
        text += &format!("\n    {}", line.trim());
    }
    text.truncate(text.floor_char_boundary(FAILURE));
    text
}
