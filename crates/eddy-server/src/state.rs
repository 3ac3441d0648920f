//! What every route shares.

use eddy_node::Node;
use eddy_types::limits::{
    MAX_BODY_BYTES_IN_FLIGHT, MAX_DEPLOYS_AT_ONCE, MAX_EXPORT_BYTES_IN_FLIGHT,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// One body permit stands for so many bytes.
pub(crate) const BODY_UNIT: usize = 4 << 10;

/// State of the router; handlers get a shared reference.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Shared>);

/// See [`AppState`].
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    /// Room for large bodies, in units of [`BODY_UNIT`].
    pub(crate) bodies: Arc<Semaphore>,
    pub(crate) deploys: Semaphore,
    /// Room for exported agents, in the same units.
    pub(crate) exports: Arc<Semaphore>,
}

impl AppState {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self(Arc::new(Shared {
            node,
            bodies: Arc::new(Semaphore::new(MAX_BODY_BYTES_IN_FLIGHT / BODY_UNIT)),
            deploys: Semaphore::new(MAX_DEPLOYS_AT_ONCE),
            exports: Arc::new(Semaphore::new(MAX_EXPORT_BYTES_IN_FLIGHT / BODY_UNIT)),
        }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
