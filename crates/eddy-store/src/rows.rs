//! The only file that reads from fjall: one get and one range over the latest rows or over a
//! snapshot, and the switch that stops everything after a failure.

use crate::keys::KeyBuf;
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode};
use fjall::{Database, Keyspace, Readable, Snapshot};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

/// The open database.
pub(crate) struct Engine {
    pub(crate) db: Database,
    pub(crate) rows: Keyspace,
    poison: OnceLock<EddyError>,
}

impl Engine {
    pub(crate) fn new(db: Database, rows: Keyspace) -> Self {
        Self {
            db,
            rows,
            poison: OnceLock::new(),
        }
    }

    /// The first failure, if there was one: what is in memory may differ from what is on disk.
    pub(crate) fn check(&self) -> Result<(), EddyError> {
        self.poison.get().cloned().map_or(Ok(()), Err)
    }

    /// Remembers a failure, so that nothing is applied on top of it.
    pub(crate) fn poison(&self, error: EddyError) -> EddyError {
        self.poison.get_or_init(|| error).clone()
    }

    /// The error for people, and the switch.
    pub(crate) fn failed(&self, doing: &str, error: &fjall::Error) -> EddyError {
        self.poison(store_failed(doing, error))
    }
}

/// A failure of fjall. `doing`: "reading", "writing".
pub(crate) fn store_failed(doing: &str, error: &fjall::Error) -> EddyError {
    let why = match error {
        fjall::Error::Poisoned => {
            "an earlier write in the background failed, see the log".to_owned()
        }
        fjall::Error::Io(error) => error.to_string(),
        other => format!("{other:?}"),
    };
    EddyError::new(
        ErrorCode::StoreFailed,
        format!("{doing} the store failed: {why}"),
    )
    .hint("Check the disk's space and health, then start the node again.")
}

/// Rows as they are now, or as they were when a snapshot was taken. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) engine: Arc<Engine>,
    at: Option<Snapshot>,
}

impl Rows {
    /// The latest rows.
    pub(crate) fn latest(engine: Arc<Engine>) -> Self {
        Self { engine, at: None }
    }

    /// The rows as they are at this moment, for as long as this lives.
    pub(crate) fn snapshot(&self) -> Self {
        let at = self.at.clone().unwrap_or_else(|| self.engine.db.snapshot());
        Self {
            engine: self.engine.clone(),
            at: Some(at),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EddyError> {
        let rows = &self.engine.rows;
        let found = match &self.at {
            None => rows.get(key),
            Some(snapshot) => snapshot.get(rows, key),
        };
        match found {
            Ok(value) => Ok(value.map(Bytes::from)),
            Err(error) => Err(self.engine.failed("reading", &error)),
        }
    }

    /// Whether the key has a value.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, EddyError> {
        let rows = &self.engine.rows;
        match &self.at {
            None => rows.contains_key(key),
            Some(snapshot) => snapshot.contains_key(rows, key),
        }
        .map_err(|error| self.engine.failed("reading", &error))
    }

    /// The rows from `from` to before `end`, in order. Consistent in itself.
    pub(crate) fn range(
        &self,
        (from, end): (Bound<&[u8]>, KeyBuf),
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), EddyError>> {
        let rows = &self.engine.rows;
        let (Bound::Included(start) | Bound::Excluded(start)) = from else {
            unreachable!("a range has a start")
        };
        // An empty range rather than one that is backwards.
        let end = if start < &*end {
            Bound::Excluded(&*end)
        } else {
            Bound::Included(start)
        };
        let empty = matches!(end, Bound::Included(_));
        let iter = (!empty).then(|| match &self.at {
            None => rows.range::<&[u8], _>((from, end)),
            Some(snapshot) => snapshot.range::<&[u8], _>(rows, (from, end)),
        });
        let engine = self.engine.clone();
        iter.into_iter()
            .flatten()
            .map(move |entry| match entry.into_inner() {
                Ok((key, value)) => Ok((Bytes::from(key), Bytes::from(value))),
                Err(error) => Err(engine.failed("reading", &error)),
            })
    }

    /// The rows whose key begins so.
    pub(crate) fn under(
        &self,
        prefix: &KeyBuf,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), EddyError>> {
        self.range(prefix.all())
    }
}
