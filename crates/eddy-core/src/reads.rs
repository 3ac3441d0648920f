//! What a running turn reads: its own writes over earlier turns over the store.

use crate::effects::Effects;
use crate::overlay::{Overlay, OverlayRead};
use crate::record::Value;
use crate::view::StoreView;
use eddy_types::limits::{MAX_LIST_BYTES, MAX_PAGE};
use eddy_types::{AgentId, EddyError, ErrorCode};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Reads of one agent's state as its turn sees them: its own writes, then uncommitted earlier
/// turns. What these do not know is what the store has. The store may be asked later, as long as
/// the agent's turn still runs: nobody else writes its state.
pub struct TurnReads<'a> {
    /// The agent.
    pub agent: &'a AgentId,
    /// The turn's own writes.
    pub effects: &'a Effects,
    /// Earlier turns that the store does not show yet.
    pub overlay: &'a Overlay,
    /// The whole committed state of an agent with durability `none`: neither the overlay nor the
    /// store is asked then.
    pub volatile: Option<&'a BTreeMap<String, Value>>,
}

impl TurnReads<'_> {
    /// One key.
    #[must_use]
    pub fn get(&self, key: &str) -> OverlayRead<Option<Value>> {
        if let Some(own) = self.effects.writes.get(key) {
            return OverlayRead::Known(own.clone());
        }
        if let Some(volatile) = self.volatile {
            return OverlayRead::Known(volatile.get(key).cloned());
        }
        self.overlay.state(self.agent, key)
    }

    /// A listing; [`Newer::over`] adds what the store has.
    #[must_use]
    pub fn range(&self, range: Range<'_>) -> Newer {
        let Range { prefix, after, .. } = range;
        let mut entries = match self.volatile {
            // Each of the turn's own removals hides one entry at most.
            Some(volatile) => bounded(volatile, prefix, after)
                .take(range.limit().saturating_add(self.effects.writes.len()))
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
            None => self.overlay.state_range(self.agent, prefix, after),
        };
        for (key, value) in bounded(&self.effects.writes, prefix, after) {
            entries.insert(key.clone(), value.clone());
        }
        Newer {
            entries,
            complete: self.volatile.is_some() || self.overlay.hides_store(self.agent),
        }
    }
}

/// Which entries of an agent's state are listed.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// What their keys start with.
    pub prefix: &'a str,
    /// After which key, if any.
    pub after: Option<&'a str>,
    /// How many at most.
    pub limit: usize,
}

/// What a listing shows before the store is asked; the default is nothing, for a listing of the
/// store alone.
#[derive(Debug, Default)]
pub struct Newer {
    /// `None`: removed.
    entries: BTreeMap<String, Option<Value>>,
    /// The store has nothing to add.
    complete: bool,
}

impl Range<'_> {
    fn limit(&self) -> usize {
        self.limit.min(MAX_PAGE)
    }
}

impl Newer {
    /// The listing: these over what the store has, in byte order of the keys.
    ///
    /// # Errors
    /// `limit-exceeded` beyond [`MAX_LIST_BYTES`], `store-failed`.
    pub fn over<V: StoreView + ?Sized>(
        self,
        agent: &AgentId,
        view: &V,
        range: Range<'_>,
    ) -> Result<Vec<(String, Value)>, EddyError> {
        let mut found = Listing::new(range.limit());
        let mut newer = self.entries;
        let mut cursor = range.after.map(str::to_owned);
        // Page by page, so that deletions in `newer` never make a listing short.
        while !self.complete && !found.is_full() {
            let page = view.state_range(agent, range.prefix, cursor.as_deref(), found.page())?;
            let last_page = page.len() < found.page();
            cursor = page.last().map(|(key, _)| key.clone()).or(cursor);
            for (key, value) in page {
                let later = newer.split_off(&key);
                found.extend(std::mem::replace(&mut newer, later))?;
                let value = newer.remove(&key).unwrap_or(Some(value));
                found.extend([(key, value)])?;
            }
            if last_page {
                break;
            }
        }
        if !found.is_full() {
            found.extend(newer)?;
        }
        Ok(found.entries)
    }
}

/// Entries found so far, bounded in number and bytes.
struct Listing {
    entries: Vec<(String, Value)>,
    bytes: usize,
    limit: usize,
}

impl Listing {
    /// Rows asked of the store at once: few enough that large values stay within memory.
    const PAGE: usize = 32;

    fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            limit,
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.limit
    }

    fn page(&self) -> usize {
        self.limit.min(Self::PAGE)
    }

    fn extend(
        &mut self,
        entries: impl IntoIterator<Item = (String, Option<Value>)>,
    ) -> Result<(), EddyError> {
        for (key, value) in entries {
            let Some(value) = value else { continue };
            if self.is_full() {
                return Ok(());
            }
            self.bytes += key.len() + value.len();
            if self.bytes > MAX_LIST_BYTES {
                let what = format!("a listing of state holds more than {MAX_LIST_BYTES} bytes");
                return Err(EddyError::new(ErrorCode::LimitExceeded, what)
                    .hint("Ask for fewer entries with `limit`, and go on with `after`."));
            }
            self.entries.push((key, value));
        }
        Ok(())
    }
}

/// The part of a map whose keys start with `prefix` and come after `after`.
pub(crate) fn bounded<'a, T>(
    map: &'a BTreeMap<String, T>,
    prefix: &'a str,
    after: Option<&'a str>,
) -> impl Iterator<Item = (&'a String, &'a T)> {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    map.range::<str, _>((start, Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}
