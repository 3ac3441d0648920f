//! How many requests may be open, which the other side says only after some are.

use crate::settings::Settings;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

/// Requests that may still be opened.
pub(super) struct Permits {
    free: Semaphore,
    /// Permits that go when they come back: more were given than the other side takes.
    owed: AtomicUsize,
}

/// One open request.
pub(super) struct Permit<'a> {
    permit: Option<SemaphorePermit<'a>>,
    owed: &'a AtomicUsize,
}

impl Permits {
    /// As many as hold before the other side's HELLO.
    pub(super) fn new() -> Self {
        Self {
            free: Semaphore::new(Settings::FLOOR.max_streams as usize),
            owed: AtomicUsize::new(0),
        }
    }

    /// The other side takes `most` requests at once. Called once.
    pub(super) fn set(&self, most: usize) {
        let floor = Settings::FLOOR.max_streams as usize;
        if most >= floor {
            self.free.add_permits(most.min(1 << 20) - floor);
            return;
        }
        self.owed.store(floor - most, Ordering::Relaxed);
        while take(&self.owed) {
            if self.free.forget_permits(1) == 0 {
                // All are in use.
                self.owed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    pub(super) fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.free.try_acquire().map(|permit| self.permit(permit))
    }

    pub(super) async fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.free.acquire().await.map(|permit| self.permit(permit))
    }

    pub(super) fn close(&self) {
        self.free.close();
    }

    fn permit<'a>(&'a self, permit: SemaphorePermit<'a>) -> Permit<'a> {
        Permit {
            permit: Some(permit),
            owed: &self.owed,
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if take(self.owed)
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

/// Takes one off; false when there is none.
fn take(owed: &AtomicUsize) -> bool {
    owed.load(Ordering::Relaxed) > 0
        && owed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| {
                owed.checked_sub(1)
            })
            .is_ok()
}
