//! Floors: what the machine itself takes for a flush, a group commit, a round trip and an HTTP
//! answer. Servers are processes of their own, as Eddy is.

pub(crate) mod flush;
pub(crate) mod http;
pub(crate) mod tcp;
