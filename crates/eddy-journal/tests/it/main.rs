//! The journal through its public face: the suite for providers, and what only the local
//! provider must do.

mod after_failure;
mod damage;
mod faults;
mod fixture;
mod support;

mod local_suite {
    use crate::support::Local;
    eddy_journal::journal_conformance!(Local::new(64 << 20));
}

/// The same with segments so small that every case rolls over.
mod local_suite_small_segments {
    use crate::support::Local;
    eddy_journal::journal_conformance!(Local::new(4096));
}
