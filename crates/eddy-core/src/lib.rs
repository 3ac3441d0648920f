//! The rules of Eddy as state machines without clock, randomness, I/O or async: `now` is an
//! argument, the store is a port to read from, and every step answers with [`Action`]s for the
//! node (or the simulator) to carry out.

mod message;
mod record;
mod view;

pub use message::*;
pub use record::*;
pub use view::*;
