//! HTTP and the native link in front of a node: the API with its documents from eddy-api, health, metrics
//! and the OpenAPI description. Translates, bounds and answers; what a request means is the node's.
//!
//! | module | what |
//! |---|---|
//! | `listen` | the address, connections and their limits, shutdown |
//! | `tls` | TLS, and which protocol a connection speaks |
//! | `link` | the native link: the same node behind another protocol |
//! | `protection` | which addresses may be listened on |
//! | `origin` | which pages and host names are let in |
//! | `caller` | tokens, tenants and what a bearer may do |
//! | `forwarded` | where a request came from, as apps are told |
//! | `routes` | a file per group of routes |
//! | `request`, `body`, `options` | from a request to what the node takes |
//! | `reply`, `convert` | from what the node says to an answer |
//! | `sending` | large answers on their way out |
//! | `room` | what large bodies of requests and exports may take, by tenant |
//! | `metrics` | `/metrics` |

mod body;
mod caller;
mod convert;
mod forwarded;
mod link;
mod listen;
mod metrics;
mod options;
mod origin;
mod protection;
mod reply;
mod request;
mod room;
mod routes;
mod sending;
mod state;
mod tls;

pub use convert::{log_entry, token};
pub use eddy_link::tls::TlsServer;
pub use listen::Server;
pub use protection::{Protection, check_listen};
pub use routes::openapi_json;
