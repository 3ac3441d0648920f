//! Which protocol a connection speaks, with TLS under it or without. By ALPN where the client says
//! so in its handshake; else its first bytes tell, which are looked at and left where they are.

use eddy_link::ByteStream;
use eddy_link::tls::{self, Accepted, TlsServer};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

/// How many bytes tell HTTP/1 from HTTP/2; the first one tells a native link from both.
const PREFACE: &[u8; 4] = b"PRI ";
const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// What is spoken over TLS beside the link, by its names in ALPN.
pub(crate) const HTTP: &[&[u8]] = &[HTTP_2, HTTP_1_1];

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Link,
    Http1,
    Http2,
}

impl Protocol {
    fn of_head(head: &[u8]) -> Self {
        if eddy_link::is_preface(head) {
            Self::Link
        } else if head.starts_with(PREFACE) {
            Self::Http2
        } else {
            Self::Http1
        }
    }
}

/// What is spoken on `stream`, without TLS. Looks again, for a moment, at what may become HTTP/2.
pub(crate) async fn plain(stream: &TcpStream) -> io::Result<Protocol> {
    const LOOKS: usize = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    let mut head = [0; PREFACE.len()];
    let mut length = 0;
    for _ in 0..LOOKS {
        length = stream.peek(&mut head).await?;
        if length == 0 || length == head.len() || !PREFACE.starts_with(&head[..length]) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Protocol::of_head(&head[..length]))
}

/// Shakes hands over `stream`; then, what is spoken on it.
pub(crate) async fn open(
    tls: &TlsServer,
    stream: TcpStream,
) -> io::Result<(Protocol, impl ByteStream + use<>)> {
    let Accepted { stream, protocol } = tls.accept_any(stream).await?;
    // What was looked at stays in its buffer, for who reads it next.
    let mut stream = BufReader::with_capacity(1 << 10, stream);
    let protocol = match protocol.as_deref() {
        Some(tls::ALPN) => Protocol::Link,
        Some(HTTP_2) => Protocol::Http2,
        Some(_) => Protocol::Http1,
        None => Protocol::of_head(stream.fill_buf().await?),
    };
    Ok((protocol, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (head, protocol) in [
            (&b"PRI * HTTP/2.0\r\n"[..], Protocol::Http2),
            (b"PRI ", Protocol::Http2),
            (b"PRIVATE / HTTP/1.1", Protocol::Http1),
            (b"GET / HTTP/1.1", Protocol::Http1),
            (b"", Protocol::Http1),
            (b"\0eddy1\r\n", Protocol::Link),
            (b"\0", Protocol::Link),
        ] {
            assert_eq!(Protocol::of_head(head), protocol, "{head:?}");
        }
    }
}
