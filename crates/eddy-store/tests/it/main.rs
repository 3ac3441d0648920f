//! The store through its public seams.

mod any;
mod listings;
mod model;
mod store;
