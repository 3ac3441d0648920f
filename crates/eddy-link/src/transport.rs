//! The byte stream under a connection: a bare TCP socket, which every thread may write to, or
//! anything else (TLS, a Unix socket, a pipe in a test), which only the driver writes to.

use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream that is read and written by one task.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// What a connection runs over.
pub struct Transport(pub(crate) Inner);

pub(crate) enum Inner {
    Tcp(TcpStream),
    Other(Box<dyn ByteStream>),
}

impl Transport {
    /// A stream that is not bare TCP, such as TLS. Somewhat slower: one task does all writing.
    #[must_use]
    pub fn other(stream: impl ByteStream) -> Self {
        Self(Inner::Other(Box::new(stream)))
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        // Small frames must not wait for one another. Where the system refuses, it is slower only.
        let _ = stream.set_nodelay(true);
        Self(Inner::Tcp(stream))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Tcp(_) => "Transport(TCP)",
            Inner::Other(_) => "Transport(other)",
        })
    }
}
