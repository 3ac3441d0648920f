//! Who starts effects, and what it may start.

use crate::catalog::App;
use crate::clock;
use crate::fetch;
use crate::held::{Held, keeping};
use crate::inner::Inner;
use bytes::Bytes;
use eddy_core::{CallChain, FunctionStart, MessageId, TurnId, TurnStart, check_argument};
use eddy_types::limits::{MAX_EFFECTS_PER_TURN, MAX_NESTED_WAIT};
use eddy_types::{AgentId, EddyError, ErrorCode, TenantId, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// An argument of so many bytes takes about what the call itself does: it does not count, and needs no room.
const SMALL_ARGUMENT: usize = 1 << 10;

/// Who starts effects: a turn, or a function.
pub(crate) struct Caller {
    pub(crate) inner: Arc<Inner>,
    pub(crate) app: Arc<App>,
    pub(crate) tenant: TenantId,
    /// The message or invocation being handled.
    pub(crate) id: MessageId,
    /// A query: it may call queries only.
    pub(crate) read_only: bool,
    /// The running turn and its agent; a function has none.
    pub(super) turn: Option<TurnId>,
    pub(super) agent: Option<AgentId>,
    pub(super) chain: CallChain,
    pub(super) retriable: bool,
    deadline: Option<Timestamp>,
    ordinal: AtomicU32,
    /// What its fetches hold.
    pub(super) fetched: fetch::Room,
}

impl Caller {
    pub(crate) fn of_turn(
        inner: &Arc<Inner>,
        app: &Arc<App>,
        start: &TurnStart,
        deadline: Option<Timestamp>,
        read_only: bool,
    ) -> Self {
        Self {
            inner: inner.clone(),
            app: app.clone(),
            tenant: start.agent.tenant().clone(),
            id: start.id,
            read_only,
            turn: Some(start.turn),
            agent: Some(start.agent.clone()),
            chain: start.chain.clone(),
            retriable: start.retriable,
            deadline,
            ordinal: AtomicU32::new(0),
            fetched: fetch::Room::default(),
        }
    }

    pub(crate) fn of_function(
        inner: &Arc<Inner>,
        app: &Arc<App>,
        start: &FunctionStart,
        deadline: Option<Timestamp>,
        retriable: bool,
    ) -> Self {
        Self {
            inner: inner.clone(),
            app: app.clone(),
            tenant: start.function.tenant.clone(),
            id: start.id,
            read_only: false,
            turn: None,
            agent: None,
            chain: start.chain.clone(),
            retriable,
            deadline,
            ordinal: AtomicU32::new(0),
            fetched: fetch::Room::default(),
        }
    }

    /// Nested waits end, whatever the manifest says.
    pub(crate) fn nested_deadline(&self) -> Timestamp {
        let limit = clock::now().plus(MAX_NESTED_WAIT);
        self.deadline.map_or(limit, |deadline| deadline.min(limit))
    }

    /// An argument that may go on its way. Unless it is small, it counts as memory of its tenant for as long as somebody
    /// holds it. `remembered` says that its answer is, when the caller may run again.
    pub(super) fn argument(&self, argument: Bytes, remembered: bool) -> Result<Bytes, EddyError> {
        check_argument(&argument)?;
        let account = &self.app.account;
        if remembered && self.retriable {
            account.may_store()?;
        }
        if argument.len() <= SMALL_ARGUMENT {
            return Ok(argument);
        }
        let mut held = Held::none(account);
        held.grow(argument.len(), || self.inner.make_room_of(account))?;
        Ok(keeping(argument, held))
    }

    pub(crate) fn next_effect(&self) -> Result<MessageId, EddyError> {
        let ordinal = self.ordinal.fetch_add(1, Ordering::Relaxed) + 1;
        if ordinal > MAX_EFFECTS_PER_TURN {
            return Err(EddyError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "one invocation may start {MAX_EFFECTS_PER_TURN} calls, invocations and fetches"
                ),
            ));
        }
        Ok(self.id.effect(ordinal))
    }
}
