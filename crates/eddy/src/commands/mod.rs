//! The commands. `up` is the node; all others are clients of one.

pub(crate) mod agents;
pub(crate) mod apps;
pub(crate) mod calls;
pub(crate) mod dead_letters;
pub(crate) mod deploy;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod invocations;
pub(crate) mod logs;
pub(crate) mod new;
pub(crate) mod pages;
pub(crate) mod portable;
pub(crate) mod shell;
pub(crate) mod tenants;
pub(crate) mod test;
pub(crate) mod tokens;
pub(crate) mod up;
