//! WASI 0.2 for guests: clocks, random bytes, the app's environment, and output that goes to the
//! log. No files, no network, no arguments.

use crate::host::{LogLevel, TurnHost};
use crate::state::State;
use bytes::Bytes;
use eddy_types::{Env, limits};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::random::random::Host as _;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// WASI's part of an instance. Most guests that stay warm never touch it, so it is made on use.
pub(crate) struct Wasi {
    env: Option<Arc<Env>>,
    made: Option<Box<Made>>,
}

struct Made {
    ctx: WasiCtx,
    table: ResourceTable,
    output: Arc<Mutex<Output>>,
}

/// What was printed and is not in the log yet, in order.
#[derive(Default)]
struct Output {
    lines: Vec<(LogLevel, String)>,
    /// The unfinished line of standard output and of standard error.
    partial: [Vec<u8>; 2],
    /// Bytes taken in this turn, to bound them.
    taken: usize,
    dropped: usize,
}

/// Most random bytes that a guest gets with one call: they are made while it holds its thread.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

const LEVELS: [LogLevel; 2] = [LogLevel::Debug, LogLevel::Warn];

impl Wasi {
    pub(crate) fn new(env: Option<Arc<Env>>) -> Self {
        Self { env, made: None }
    }

    pub(crate) fn env(&self, name: &str) -> Option<String> {
        self.env.as_ref()?.get(name).cloned()
    }

    /// Moves printed lines to the log; at the end of a turn the unfinished ones too.
    pub(crate) fn drain_output(&mut self, host: &mut dyn TurnHost, end_of_turn: bool) {
        let Some(made) = &self.made else { return };
        let mut output = made.output.lock();
        if end_of_turn {
            output.finish();
        }
        let lines = std::mem::take(&mut output.lines);
        drop(output);
        for (level, line) in lines {
            host.log(level, &line);
        }
    }

    /// What is printed, for who takes it while the guest runs.
    pub(crate) fn output(&mut self) -> Printing {
        Printing(self.made().output.clone())
    }

    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.made().table
    }

    /// Drops everything that the guest has handles of: it will not run again.
    pub(crate) fn end_resources(&mut self) {
        if let Some(made) = &mut self.made {
            made.table = ResourceTable::new();
        }
    }

    fn made(&mut self) -> &mut Made {
        let env = &self.env;
        self.made
            .get_or_insert_with(|| Box::new(Made::new(env.as_deref())))
    }
}

/// What an instance prints.
pub(crate) struct Printing(Arc<Mutex<Output>>);

impl Printing {
    /// Hands over the lines that are finished.
    pub(crate) fn drain(&self, take: &mut dyn FnMut(LogLevel, &str)) {
        let lines = std::mem::take(&mut self.0.lock().lines);
        for (level, line) in lines {
            take(level, &line);
        }
    }
}

impl Made {
    fn new(env: Option<&Env>) -> Self {
        let output = Arc::new(Mutex::new(Output::default()));
        let mut builder = WasiCtxBuilder::new();
        builder
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(MAX_RANDOM_BYTES)
            .stdout(Printer {
                output: Arc::clone(&output),
                stream: 0,
            })
            .stderr(Printer {
                output: Arc::clone(&output),
                stream: 1,
            });
        for (name, value) in env.into_iter().flatten() {
            builder.env(name, value);
        }
        Self {
            ctx: builder.build(),
            table: ResourceTable::new(),
            output,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let made = self.wasi.made();
        WasiCtxView {
            ctx: &mut made.ctx,
            table: &mut made.table,
        }
    }
}

impl State {
    /// Random bits for code that runs while its instance starts, where there is no turn.
    pub(crate) fn wasi_random(&mut self) -> u64 {
        self.ctx().ctx.random().get_random_u64().unwrap_or_default()
    }
}

impl Output {
    fn write(&mut self, stream: usize, bytes: &[u8]) {
        let room = limits::MAX_LOG_BYTES_PER_INVOCATION - self.taken;
        let kept = bytes.len().min(room);
        self.taken += kept;
        self.dropped += bytes.len() - kept;
        let mut rest = &bytes[..kept];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.partial[stream].extend_from_slice(&rest[..end]);
            self.end_line(stream);
            rest = &rest[end + 1..];
        }
        self.partial[stream].extend_from_slice(rest);
    }

    fn end_line(&mut self, stream: usize) {
        let line = std::mem::take(&mut self.partial[stream]);
        self.lines
            .push((LEVELS[stream], String::from_utf8_lossy(&line).into_owned()));
    }

    fn finish(&mut self) {
        for stream in 0..self.partial.len() {
            if !self.partial[stream].is_empty() {
                self.end_line(stream);
            }
        }
        if self.dropped > 0 {
            let text = format!("{} bytes of printed output were dropped", self.dropped);
            self.lines.push((LogLevel::Warn, text));
        }
        (self.taken, self.dropped) = (0, 0);
    }
}

/// One of the two output streams.
#[derive(Clone)]
struct Printer {
    output: Arc<Mutex<Output>>,
    stream: usize,
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.lock().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Printer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.output.lock().write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_lines_and_is_bounded() {
        let mut output = Output::default();
        output.write(0, b"one\ntw");
        output.write(1, b"err\n");
        output.write(0, b"o");
        output.write(0, &vec![b'x'; limits::MAX_LOG_BYTES_PER_INVOCATION]);
        output.finish();
        let lines = std::mem::take(&mut output.lines);
        assert_eq!(lines[0], (LogLevel::Debug, "one".to_owned()));
        assert_eq!(lines[1], (LogLevel::Warn, "err".to_owned()));
        assert!(lines[2].1.starts_with("twox"));
        assert_eq!(lines[3].1, "11 bytes of printed output were dropped");
        output.write(0, b"next turn\n");
        assert_eq!(output.lines.len(), 1, "the bound is per turn");
    }
}
