//! How much requests to the outside take at once of what the process has little of: connections, which are open files, and
//! threads that look names up. Without a bound, one tenant's would keep the node from accepting, and from its checkpoints.

use eddy_types::limits::{
    MAX_LOOKUPS, MAX_LOOKUPS_PER_TENANT, MAX_OUTBOUND_REQUESTS, MAX_OUTBOUND_REQUESTS_PER_TENANT,
};
use eddy_types::{EddyError, ErrorCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

// The process's, as files and threads are.
static REQUESTS: Semaphore = Semaphore::const_new(MAX_OUTBOUND_REQUESTS);
static LOOKUPS: Semaphore = Semaphore::const_new(MAX_LOOKUPS);

/// How long a guest is told to wait when there is no place.
const RETRY: Duration = Duration::from_secs(1);

/// The places of one tenant.
#[derive(Debug)]
pub(crate) struct Places {
    requests: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

/// One of them, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _own: OwnedSemaphorePermit,
    _shared: SemaphorePermit<'static>,
}

impl Places {
    /// Of the default tenant, which may have as many as the node, or of another one.
    pub(crate) fn new(is_default: bool) -> Self {
        let (requests, lookups) = match is_default {
            true => (MAX_OUTBOUND_REQUESTS, MAX_LOOKUPS),
            false => (MAX_OUTBOUND_REQUESTS_PER_TENANT, MAX_LOOKUPS_PER_TENANT),
        };
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            lookups: Arc::new(Semaphore::new(lookups)),
        }
    }

    /// A place for a request, until its answer was read.
    ///
    /// # Errors
    /// `tenant-limit`, `overloaded`.
    pub(crate) fn request(&self) -> Result<Place, EddyError> {
        let own = self.requests.clone().try_acquire_owned();
        let own = own.map_err(|_| {
            full(
                ErrorCode::TenantLimit,
                "the tenant has as many outbound requests under way as it may",
            )
        })?;
        let shared = REQUESTS.try_acquire().map_err(|_| {
            full(
                ErrorCode::Overloaded,
                "the node has as many outbound requests under way as it may",
            )
        })?;
        Ok(Place {
            _own: own,
            _shared: shared,
        })
    }

    /// A place for a look-up; waits for it.
    pub(super) async fn lookup(&self) -> Result<Place, EddyError> {
        let closed = |_| EddyError::internal("the places of look-ups were closed");
        // Who waits for the node's places has one of its tenant's: so at most these stand before others.
        let own = self.lookups.clone().acquire_owned().await.map_err(closed)?;
        let shared = LOOKUPS.acquire().await.map_err(closed)?;
        Ok(Place {
            _own: own,
            _shared: shared,
        })
    }
}

fn full(code: ErrorCode, why: &str) -> EddyError {
    EddyError::new(code, why)
        .hint("Wait for answers before you ask for more.")
        .retry_after(RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_leaves_places_to_others() {
        let (greedy, other) = (Places::new(false), Places::new(false));
        let mut taken = Vec::new();
        let refused = loop {
            match greedy.request() {
                Ok(place) => taken.push(place),
                Err(error) => break error,
            }
        };
        assert_eq!(taken.len(), MAX_OUTBOUND_REQUESTS_PER_TENANT);
        assert_eq!(refused.code, ErrorCode::TenantLimit);
        assert!(other.request().is_ok());
        taken.pop();
        assert!(greedy.request().is_ok(), "what is over makes room");
    }
}
