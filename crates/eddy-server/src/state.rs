//! What every route shares.

use crate::room::Room;
use eddy_node::Node;
use eddy_types::limits::{
    MAX_BODY_BYTES_IN_FLIGHT, MAX_DEPLOYS_AT_ONCE, MAX_EXPORT_BYTES_IN_FLIGHT,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// State of the router; handlers get a shared reference.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Shared>);

/// See [`AppState`].
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    /// Room for large bodies.
    pub(crate) bodies: Arc<Room>,
    pub(crate) deploys: Semaphore,
    /// Room for exported agents.
    pub(crate) exports: Arc<Room>,
}

impl AppState {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self(Arc::new(Shared {
            node,
            bodies: Room::new(MAX_BODY_BYTES_IN_FLIGHT),
            deploys: Semaphore::new(MAX_DEPLOYS_AT_ONCE),
            exports: Room::new(MAX_EXPORT_BYTES_IN_FLIGHT),
        }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
