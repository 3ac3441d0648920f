//! The native link of Eddy: requests and answers over one multiplexed binary connection.
//!
//! Both sides live here: [`serve`] answers requests with a [`Handler`], [`open`] gives a [`Link`]
//! that asks. The protocol is described in docs/protocol.md. Not here: listening, connecting
//! again, tasks (both sides are futures that the caller spawns), and what a request means.

mod client;
mod driver;
mod flow;
pub mod frame;
pub mod message;
mod out;
mod request;
mod server;
mod settings;
mod shared;
pub mod tls;
mod transport;

pub use client::{Link, Linking, open};
pub use frame::{PREFACE, is_preface};
pub use request::{Failure, Fate, InvocationId, MAX_RESPONSE_BYTES, Operation, Reply, Request};
pub use server::{Awaited, Drain, Handler, Responder, Room, Serving, serve};
pub use settings::{Config, Settings, Token};
pub use transport::{ByteStream, Transport};
