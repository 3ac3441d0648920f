//! What `eddy dev` has besides a node: which files to look at, and a look-out for their saves.

mod watch;

pub(crate) use watch::Watch;
