//! What happened, line by line. Two runs of one seed write the same bytes.

use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// The log of a run.
#[derive(Debug, Default)]
pub(crate) struct Log {
    text: String,
}

impl Log {
    pub(crate) fn line(&mut self, step: u32, what: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{step:>5} {what}");
    }

    pub(crate) fn tail(&self, lines: usize) -> String {
        let all: Vec<_> = self.text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    pub(crate) fn hash(&self) -> u64 {
        xxh3_64(self.text.as_bytes())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}
