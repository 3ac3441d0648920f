//! Errors that people see: a stable code, what happened and why, and what to do next. Each code
//! has a page, docs/errors/CODE.md; a test holds the two lists together.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// Declares the codes once: variant, stable text, HTTP status, whether trying again may help.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $retryable:literal;)*) => {
        /// A stable error code. Codes are never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as users see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed when it is tried again later.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }
        }
    };
}

error_codes! {
    // Requests
    /// A name or key is malformed.
    InvalidName = "invalid-name", 400, false;
    /// A body is not JSON.
    InvalidJson = "invalid-json", 400, false;
    /// A header, query parameter or field has a bad value.
    InvalidArgument = "invalid-argument", 400, false;
    /// A body is larger than its limit.
    PayloadTooLarge = "payload-too-large", 413, false;
    /// No such route.
    UnknownRoute = "unknown-route", 404, false;
    /// No such app.
    UnknownApp = "unknown-app", 404, false;
    /// No such function.
    UnknownFunction = "unknown-function", 404, false;
    /// The function answers HTTP requests, and takes no argument.
    NotInvocable = "not-invocable", 400, false;
    /// No such agent type.
    UnknownAgentType = "unknown-agent-type", 404, false;
    /// The agent type has no such method.
    UnknownMethod = "unknown-method", 404, false;
    /// The agent has never committed anything.
    UnknownAgent = "unknown-agent", 404, false;
    /// No record of such an invocation.
    UnknownInvocation = "unknown-invocation", 404, false;
    /// No such dead letter.
    UnknownDeadLetter = "unknown-dead-letter", 404, false;
    /// An import found an agent in its place.
    AgentExists = "agent-exists", 409, false;
    /// The idempotency key was used for another request.
    IdempotencyMismatch = "idempotency-mismatch", 422, false;
    /// The method is not allowed on this route.
    MethodNotAllowed = "method-not-allowed", 405, false;
    /// A page of another site called a node that has no authentication.
    CrossOrigin = "cross-origin", 403, false;
    /// The request carries no token that the node knows.
    Unauthenticated = "unauthenticated", 401, false;
    /// The token's role does not allow this.
    PermissionDenied = "permission-denied", 403, false;
    /// No such tenant.
    UnknownTenant = "unknown-tenant", 404, false;
    /// No such token.
    UnknownToken = "unknown-token", 404, false;
    /// Nobody could look after the node any more.
    OperatorNeeded = "operator-needed", 409, false;

    // Deploy
    /// Some of a project's tests failed.
    TestsFailed = "tests-failed", 422, false;
    /// The manifest is wrong.
    InvalidManifest = "invalid-manifest", 400, false;
    /// The source does not parse or load.
    InvalidSource = "invalid-source", 400, false;
    /// The bytes are not a component Eddy can run.
    InvalidComponent = "invalid-component", 400, false;
    /// A function or agent type belongs to another app already.
    NameTaken = "name-taken", 409, false;
    /// The node does not have the runtime component that a deploy names by its digest.
    UnknownRuntime = "unknown-runtime", 404, false;
    /// A tool that builds the code is not installed.
    ToolchainMissing = "toolchain-missing", 400, false;
    /// A tool that builds the code has failed.
    ToolchainFailed = "toolchain-failed", 500, true;
    /// A secret that the manifest refers to is not set on the node.
    SecretMissing = "secret-missing", 400, false;

    // Guests
    /// The guest threw or returned an error.
    GuestError = "guest-error", 500, false;
    /// The guest trapped.
    GuestTrap = "guest-trap", 500, true;
    /// The guest used more memory than its limit.
    MemoryLimit = "memory-limit", 500, true;
    /// The guest returned something that is not JSON or not of the promised form.
    InvalidResult = "invalid-result", 500, true;
    /// A handler waits for something that can never happen.
    HandlerStalled = "handler-stalled", 500, true;
    /// A query tried to write.
    WriteInQuery = "write-in-query", 500, false;
    /// The context was used after its turn had ended.
    ContextClosed = "context-closed", 500, false;
    /// The turn's changes do not fit one record.
    RecordTooLarge = "record-too-large", 422, false;
    /// A per-turn or per-agent limit was reached.
    LimitExceeded = "limit-exceeded", 422, false;
    /// The app may not do this.
    CapabilityDenied = "capability-denied", 403, false;
    /// An outbound request failed.
    FetchFailed = "fetch-failed", 502, true;

    // Calls
    /// The deadline passed.
    DeadlineExceeded = "deadline-exceeded", 504, true;
    /// The call would wait for itself.
    CallCycle = "call-cycle", 508, false;
    /// The call chain is too deep.
    CallDepth = "call-depth", 508, false;
    /// Calls waited for each other; this one was given up.
    Deadlock = "deadlock", 409, true;
    /// A re-execution asked for something else under the same effect id.
    CallDiverged = "call-diverged", 409, false;
    /// The turn was aborted before it committed; nothing of it remains.
    TurnAborted = "turn-aborted", 503, true;

    // Capacity
    /// Too many messages wait for the agent.
    MailboxFull = "mailbox-full", 429, true;
    /// Too many invocations wait for the function.
    ConcurrencyLimit = "concurrency-limit", 429, true;
    /// The tenant uses as much as it may.
    TenantLimit = "tenant-limit", 429, true;
    /// The tenant stores as much as it may.
    StorageLimit = "storage-limit", 507, false;
    /// The node has no room for this now.
    Overloaded = "overloaded", 503, true;
    /// The app is deployed, but the node could not load it.
    AppUnavailable = "app-unavailable", 503, true;
    /// The node is stopping.
    ShuttingDown = "shutting-down", 503, true;

    // Data
    /// Writing or flushing the journal failed; the node stops.
    JournalFailed = "journal-failed", 503, true;
    /// The journal holds bytes that cannot have been written so.
    JournalCorrupt = "journal-corrupt", 500, false;
    /// The store cannot be read or written.
    StoreFailed = "store-failed", 503, true;
    /// The store is older than the journal's oldest record.
    StoreBehindJournal = "store-behind-journal", 500, false;
    /// Another node uses the data folder.
    DataInUse = "data-in-use", 503, false;
    /// The data folder was written by an incompatible version.
    IncompatibleData = "incompatible-data", 500, false;
    /// The address to listen on cannot be used.
    ListenFailed = "listen-failed", 503, false;
    /// An address that other machines reach needs tokens, and TLS.
    InsecureListen = "insecure-listen", 400, false;
    /// The client cannot reach the node.
    NodeUnreachable = "node-unreachable", 503, true;
    /// The connection ended before the answer came; what became of the request is not known.
    ConnectionLost = "connection-lost", 503, true;
    /// The other side of a link broke the rules of the protocol.
    ProtocolError = "protocol-error", 502, false;
    /// The two sides of a link speak no common version of the protocol.
    UnsupportedVersion = "unsupported-version", 505, false;
    /// A bug in Eddy.
    Internal = "internal", 500, false;
}

// Written as text in every format, so that adding a code never changes what is on disk.
impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A code of a newer version still reads as an error.
        let known = Self::ALL.iter().find(|code| code.as_str() == text);
        Ok(known.copied().unwrap_or(Self::Internal))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a guest says of its own error (a throw in JavaScript, `Err` in Rust).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFailure {
    /// The error's name or code, chosen by the guest: `Error`, `out-of-stock`.
    pub name: String,
    /// Where it was thrown, in the user's own files.
    pub stack: Option<String>,
    /// The HTTP status the guest asks for, 400 to 599.
    pub status: Option<u16>,
    /// More about it, as JSON text.
    pub details: Option<String>,
}

/// An error for people. Guests see `code` and `detail` of what they call; nothing internal is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EddyError {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened and why.
    pub detail: String,
    /// What to do next.
    pub hint: Option<String>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
    /// The guest's own error behind [`ErrorCode::GuestError`].
    pub guest: Option<Box<GuestFailure>>,
}

impl EddyError {
    /// An error with a code and what happened.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            hint: None,
            retry_after: None,
            guest: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds how long to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds what the guest said.
    #[must_use]
    pub fn guest(mut self, guest: GuestFailure) -> Self {
        self.guest = Some(Box::new(guest));
        self
    }

    /// A bug in Eddy: `detail` says which invariant broke.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, detail)
            .hint("This is a bug in Eddy. Please report it with the node's log.")
    }

    /// The HTTP status: the guest's own when it asked for one.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.guest
            .as_ref()
            .and_then(|guest| guest.status)
            .filter(|status| (400..600).contains(status))
            .unwrap_or_else(|| self.code.http_status())
    }
}

impl fmt::Display for EddyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for EddyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_every_code_has_its_page() {
        let texts: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        let pages: BTreeSet<String> = std::fs::read_dir(docs)
            .expect("docs/errors exists")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
            .filter(|name| name != "README")
            .collect();
        let codes: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(
            codes, pages,
            "codes (left) and pages in docs/errors (right) differ"
        );
    }

    #[test]
    fn a_guest_may_choose_an_error_status_only() {
        let with = |status| {
            EddyError::new(ErrorCode::GuestError, "no")
                .guest(GuestFailure {
                    status,
                    ..GuestFailure::default()
                })
                .http_status()
        };
        assert_eq!(with(Some(409)), 409);
        assert_eq!(with(Some(200)), 500);
        assert_eq!(with(None), 500);
    }
}
