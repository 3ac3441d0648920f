//! Reading from and writing to the byte stream, and shutting it.

use super::spin::Look;
use super::{Driver, MAX_READ_BYTES, Phase};
use crate::frame::HEADER_BYTES;
use crate::shared::{Role, lost};
use crate::transport::ByteStream;
use bytes::Buf as _;
use socket2::SockRef;
use std::future::Future as _;
use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// The side of the byte stream that belongs to the driver.
pub(super) enum Io {
    Tcp(OwnedReadHalf),
    Other(Box<dyn ByteStream>),
}

impl<R: Role> Driver<R> {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // A frame has room from its header on, so that it is read at once: the one length that is
        // believed before the bytes came. The decoder refused it when it is beyond the limit.
        let missing = self.decoder.missing(&self.buffer).unwrap_or(HEADER_BYTES);
        let wanted = missing.max(self.read_bytes);
        if self.buffer.capacity() - self.buffer.len() < missing.max(wanted / 2) {
            self.buffer.reserve(wanted);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let buffer = &mut self.buffer;
        let read = match &mut self.io {
            Io::Tcp(read) => match pin!(read.read_buf(buffer)).poll(cx) {
                Poll::Ready(read) => read,
                Poll::Pending => match self.spin.look(&self.shared, (*read).as_ref(), buffer) {
                    Look::Found(bytes) => Ok(bytes),
                    Look::Sleep => return Poll::Pending,
                    Look::GiveWay => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                },
            },
            Io::Other(stream) => ready!(pin!(stream.read_buf(buffer)).poll(cx)),
        };
        if matches!(read, Ok(n) if n == room) {
            self.read_bytes = (self.read_bytes * 2).min(MAX_READ_BYTES);
        }
        Poll::Ready(read)
    }

    /// Writes what the users could not. Ready when nothing is left, or nothing can be.
    pub(super) fn poll_writing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.io {
            Io::Tcp(_) => self.poll_socket(cx),
            Io::Other(_) => self.poll_stream(cx),
        }
    }

    pub(super) fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.shared;
        let Some(socket) = shared.socket() else {
            return Poll::Ready(());
        };
        loop {
            let mut state = shared.state.lock();
            if state.broken.is_some() {
                return Poll::Ready(());
            }
            if state.blocked {
                drop(state);
                // An error shows itself in the write.
                let _ = ready!(socket.as_ref().poll_write_ready(cx));
                state = shared.state.lock();
                state.blocked = false;
            } else if state.writing || state.corked {
                // Who writes looks again when he is done; the cork is this task's own.
                return Poll::Pending;
            } else if !state.out.has_bytes() {
                return Poll::Ready(());
            }
            shared.flush(state);
        }
    }

    pub(super) fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Io::Other(stream) = &mut self.io else {
            return Poll::Ready(());
        };
        loop {
            let mut state = self.shared.state.lock();
            if state.broken.is_some() {
                return Poll::Ready(());
            }
            if !state.out.has_bytes() {
                drop(state);
                let _ = ready!(Pin::new(&mut *stream).poll_flush(cx));
                return Poll::Ready(());
            }
            let mut bytes = state.out.take();
            drop(state);
            let written = Pin::new(&mut *stream).poll_write(cx, &bytes);
            if let Poll::Ready(Ok(n)) = &written {
                bytes.advance(*n);
            }
            let mut state = self.shared.state.lock();
            state.out.written(bytes);
            match ready!(written) {
                Ok(1..) => state.progress = true,
                Ok(0) => state.broken = Some(lost("it takes no more bytes")),
                Err(error) => state.broken = Some(lost(&format!("writing failed: {error}"))),
            }
        }
    }

    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.phase == Phase::Closing {
            ready!(self.poll_writing(cx));
            match &mut self.io {
                Io::Tcp(read) => {
                    let _ =
                        SockRef::from(AsRef::<TcpStream>::as_ref(read)).shutdown(Shutdown::Write);
                }
                Io::Other(stream) => {
                    let _ = ready!(Pin::new(stream).poll_shutdown(cx));
                }
            }
            self.phase = Phase::Lingering;
        }
        self.poll_reading(cx)
    }
}
