//! The real binary: what it prints and how it ends, and what it holds under faults and kills.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests use real time, tasks and threads, and may panic"
)]

mod answering;
mod behaviour;
mod binary;
mod book;
mod building;
mod crash;
mod dev;
mod disk;
mod drain;
mod durable;
mod every;
mod faults;
mod hammering;
mod help;
mod hostile;
mod logs;
mod mistakes;
mod new_projects;
mod node;
mod packages;
mod portable;
mod printing;
mod printing_access;
mod python;
mod python_tools;
mod rust_projects;
mod script;
mod secrets;
mod small_disk;
mod starting;
mod tenants;
mod testing;
mod tls;
mod tour;
mod transcripts;
mod ways;
