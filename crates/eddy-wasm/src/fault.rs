//! What ends a turn other than its result: told from what wasmtime reports and what the limiter
//! and the cancel token know.

use crate::cancel::CancelReason;
use crate::instance::{Cancelled, MAX_HOST_CALL_BYTES};
use crate::limiter::Denied;
use eddy_types::{EddyError, ErrorCode};
use std::fmt::Write as _;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

/// Guest frames shown in a backtrace.
const MAX_FRAMES: usize = 20;

/// A turn that did not end by itself. The instance must be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The guest trapped.
    Trap {
        /// What kind of trap.
        kind: TrapKind,
        /// What happened, in a sentence without a full stop.
        message: String,
        /// The guest's frames, innermost first, one per line. Empty when there are none.
        backtrace: String,
    },
    /// The turn was told to stop because its deadline passed.
    Timeout {
        /// Where the guest was, as in [`Fault::Trap`]. Empty when it was waiting.
        backtrace: String,
    },
    /// The turn was told to stop because its node stops or its code is replaced.
    Aborted,
    /// The guest asked for more memory than it may have, and did not survive that.
    MemoryLimit {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The instances that share a memory limit have used it up.
    SharedMemoryLimit {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The guest handed the host more bytes in one call than it may.
    TooMuchAtOnce,
    /// The guest answered with bytes that are not JSON.
    InvalidResult {
        /// Why they are not.
        message: String,
    },
    /// The engine has no free instance.
    NoRoom {
        /// What ran out.
        message: String,
    },
}

/// Kinds of traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapKind {
    /// `unreachable`: what a panic or an abort ends in.
    Unreachable,
    /// The stack is used up.
    StackOverflow,
    /// Memory or a table was accessed out of bounds.
    OutOfBounds,
    /// The guest called `exit`.
    Exit,
    /// Anything else.
    Other,
}

/// What wasmtime says when a guest passes more than `MAX_HOST_CALL_BYTES`; it has no type for it.
const HOST_CALL_FUEL: &str = "fuel allocated for hostcalls";

impl Fault {
    /// The fault behind an error of wasmtime. `denied` says why when a growth was
    /// denied during the turn.
    pub(crate) fn from_wasmtime(error: &wasmtime::Error, denied: Option<Denied>) -> Self {
        let backtrace = backtrace_of(error);
        match error
            .downcast_ref::<Cancelled>()
            .map(|cancelled| cancelled.0)
        {
            Some(CancelReason::Timeout) => return Self::Timeout { backtrace },
            Some(CancelReason::Abort) => return Self::Aborted,
            None => {}
        }
        if let Some(denied) = denied {
            return denied.fault();
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::NoRoom {
                message: error.root_cause().to_string(),
            };
        }
        if out_of_maps(error) {
            return Self::NoRoom {
                message: "the system gives no more memory or memory maps".to_owned(),
            };
        }
        if error.root_cause().to_string().contains(HOST_CALL_FUEL) {
            return Self::TooMuchAtOnce;
        }
        let (kind, message) = trap_of(error);
        Self::Trap {
            kind,
            message,
            backtrace,
        }
    }

    /// The fault of an instance that cannot do what it is asked for.
    pub(crate) fn unusable(why: &str) -> Self {
        Self::Trap {
            kind: TrapKind::Other,
            message: why.to_owned(),
            backtrace: String::new(),
        }
    }

    /// The fault of a turn that was stopped while it waited.
    pub(crate) fn cancelled(reason: CancelReason) -> Self {
        match reason {
            CancelReason::Timeout => Self::Timeout {
                backtrace: String::new(),
            },
            CancelReason::Abort => Self::Aborted,
        }
    }
}

/// Whether the kernel refused memory for an instance: its memory maps are used up, most likely.
fn out_of_maps(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::OutOfMemory)
}

fn trap_of(error: &wasmtime::Error) -> (TrapKind, String) {
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return (
            TrapKind::Exit,
            format!("the guest exited with status {}", exit.0),
        );
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => (
            TrapKind::Unreachable,
            "the guest panicked, aborted or ran `unreachable`".to_owned(),
        ),
        Some(Trap::StackOverflow) => (
            TrapKind::StackOverflow,
            "the guest's call stack is used up".to_owned(),
        ),
        Some(trap @ (Trap::MemoryOutOfBounds | Trap::TableOutOfBounds)) => {
            (TrapKind::OutOfBounds, format!("the guest trapped: {trap}"))
        }
        Some(trap) => (TrapKind::Other, format!("the guest trapped: {trap}")),
        None => (
            TrapKind::Other,
            format!("the guest trapped: {}", error.root_cause()),
        ),
    }
}

fn backtrace_of(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let mut text = String::new();
    // Without names the frames say nothing to anybody.
    if backtrace
        .frames()
        .iter()
        .all(|frame| frame.func_name().is_none())
    {
        return text;
    }
    for frame in backtrace.frames().iter().take(MAX_FRAMES) {
        let name = frame.func_name().map(|raw| format!("{:#}", demangled(raw)));
        let name = name.unwrap_or_else(|| format!("function {}", frame.func_index()));
        let place = frame
            .symbols()
            .first()
            .and_then(|s| Some((s.file()?, s.line()?)));
        let _ = match place {
            Some((file, line)) => writeln!(text, "at {name} ({file}:{line})"),
            None => writeln!(text, "at {name}"),
        };
    }
    let hidden = backtrace.frames().len().saturating_sub(MAX_FRAMES);
    if hidden > 0 {
        let _ = writeln!(text, "and {hidden} more");
    }
    text
}

fn demangled(raw: &str) -> rustc_demangle::Demangle<'_> {
    rustc_demangle::demangle(raw)
}

impl From<Fault> for EddyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Trap {
                message, backtrace, ..
            } => EddyError::new(ErrorCode::GuestTrap, with_frames(message, &backtrace)).hint(
                "Nothing of the turn was kept. What the guest printed before is in the \
                     invocation's log.",
            ),
            Fault::Timeout { backtrace } => EddyError::new(
                ErrorCode::DeadlineExceeded,
                with_frames(
                    "the handler did not end before its deadline".to_owned(),
                    &backtrace,
                ),
            )
            .hint("Raise `timeout` in eddy.toml, or the request's `Eddy-Timeout`."),
            Fault::Aborted => EddyError::new(
                ErrorCode::TurnAborted,
                "the turn was stopped before it ended, because its node stops or its code was \
                 replaced; nothing of it was kept",
            )
            .hint("Try again."),
            Fault::MemoryLimit { limit } => EddyError::new(
                ErrorCode::MemoryLimit,
                format!(
                    "the guest needs more than its {} MiB of memory",
                    limit >> 20
                ),
            )
            .hint("Raise `memory` in eddy.toml, or keep less in memory."),
            Fault::SharedMemoryLimit { limit } => EddyError::new(
                ErrorCode::TenantLimit,
                format!(
                    "the tenant's instances use all of the {} MiB of memory that they may",
                    limit >> 20
                ),
            )
            .hint("Try again when others have ended, or have the tenant's `memory` raised."),
            Fault::TooMuchAtOnce => EddyError::new(
                ErrorCode::PayloadTooLarge,
                format!(
                    "the guest passed more than {} MiB at once, as a result, an argument, a value \
                     or a line of its log",
                    MAX_HOST_CALL_BYTES >> 20
                ),
            )
            .hint("Pass less: docs/limits.md has the limit of each. Nothing of the turn was kept."),
            Fault::InvalidResult { message } => EddyError::new(ErrorCode::InvalidResult, message)
                .hint("A handler must return JSON text in UTF-8."),
            Fault::NoRoom { message } => EddyError::new(
                ErrorCode::Overloaded,
                format!("no more instances fit on this node: {message}"),
            )
            .hint("Try again later, or raise the number of instances."),
        }
    }
}

fn with_frames(message: String, backtrace: &str) -> String {
    match backtrace.trim_end() {
        "" => message,
        frames => format!("{message}\n{frames}"),
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&EddyError::from(self.clone()).detail)
    }
}

impl std::error::Error for Fault {}
