//! What a wasmtime store holds for one instance: the running turn, its pending effects, the memory
//! limit, and WASI, which is made only when a guest first uses it.

use crate::cancel::CancelToken;
use crate::code::Code;
use crate::exchange::Http;
use crate::host::TurnHost;
use crate::instance::InstanceLimits;
use crate::limiter::Limiter;
use crate::pending::Pendings;
use crate::wasi::Wasi;
use eddy_types::{EddyError, ErrorCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The data of one store.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    pub(crate) pendings: Pendings,
    pub(crate) wasi: Wasi,
    /// Only of guests that answer HTTP.
    pub(crate) http: Option<Box<Http>>,
    /// Set when the guest gave way at a tick, so that the outside can tell computing from waiting.
    pub(crate) gave_way: Arc<AtomicBool>,
    /// What stops the code that runs now, be it a turn or the start of the instance.
    pub(crate) cancel: CancelToken,
    turn: Option<Turn>,
}

/// The running turn.
struct Turn {
    host: Box<dyn TurnHost>,
    /// What the node told the guest in this turn, one error per code.
    told: Vec<EddyError>,
}

impl State {
    pub(crate) fn new(limits: &InstanceLimits, code: &Code, cancel: CancelToken) -> Self {
        let (account, shares) = (limits.account.clone(), code.python().is_some());
        Self {
            limiter: Limiter::new(limits.memory, account, code.places(), shares),
            pendings: Pendings::default(),
            wasi: Wasi::new(limits.env.clone()),
            http: None,
            gave_way: Arc::default(),
            cancel,
            turn: None,
        }
    }

    pub(crate) fn begin_turn(&mut self, host: Box<dyn TurnHost>, cancel: CancelToken) {
        self.limiter.begin_turn();
        self.cancel = cancel;
        self.turn = Some(Turn {
            host,
            told: Vec::new(),
        });
    }

    /// Ends the turn: what is pending is cancelled, what was printed goes to the log. Answers with
    /// what the node told the guest.
    pub(crate) fn end_turn(&mut self) -> Vec<EddyError> {
        self.pendings.end_turn();
        let Some(mut turn) = self.turn.take() else {
            return Vec::new();
        };
        self.wasi.drain_output(&mut *turn.host, true);
        turn.told
    }

    /// Takes printed lines to the log before the next line of it.
    pub(crate) fn drain_output(&mut self) {
        if let Some(turn) = &mut self.turn {
            self.wasi.drain_output(&mut *turn.host, false);
        }
    }

    /// The host of the running turn. Outside of one (while a component starts) there is none.
    pub(crate) fn host(&mut self) -> Result<&mut dyn TurnHost, EddyError> {
        match &mut self.turn {
            Some(turn) => Ok(&mut *turn.host),
            None => Err(EddyError::new(
                ErrorCode::ContextClosed,
                "the context was used outside of a handler",
            )
            .hint("Use it inside of functions and methods only, not while the code loads.")),
        }
    }

    /// Remembers what the guest is told, for [`crate::outcome::from_failure`].
    pub(crate) fn remember(&mut self, error: &EddyError) {
        if let Some(turn) = &mut self.turn
            && turn.told.iter().all(|told| told.code != error.code)
        {
            turn.told.push(error.clone());
        }
    }
}
