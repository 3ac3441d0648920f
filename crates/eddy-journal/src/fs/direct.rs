//! Writes that go to the device without a stop in the page cache (`O_DIRECT`). A flush has nothing
//! to write back then and only tells the device to empty its own cache: that takes a fifth off a
//! small durable write. The device writes whole blocks, so the bytes before and behind go with it.

use super::{APPEND_BLOCK as BLOCK, block_of};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Largest write, in bytes. A larger one is better off in the page cache.
const LARGEST: usize = 64 << 10;

/// A second handle of a file, and the block it wrote last.
pub(super) struct Direct {
    file: File,
    /// One block more than is used, for its alignment.
    buffer: Vec<u8>,
    /// Where the buffer's first block lies in the file; `None` when it holds no block of it.
    block: Option<u64>,
}

impl Direct {
    /// `None` when this system or file system has no such writes.
    pub(super) fn of(file: &File) -> Option<Self> {
        Some(Self {
            file: open(file)?,
            buffer: Vec::new(),
            block: None,
        })
    }

    /// Writes `buf` at `offset`, what is before it in its first block as it is, and zeros behind it to
    /// the end of its last one. Returns whether it did: a larger write than it takes, and one of
    /// which the disk took a part only, are left to the caller.
    ///
    /// Errors: `InvalidInput` or `Unsupported` when the file cannot be written so, and nothing was.
    pub(super) fn append(&mut self, cached: &File, buf: &[u8], offset: u64) -> io::Result<bool> {
        let (start, before) = block_of(offset)?;
        let end = before + buf.len();
        let known = self.block.take() == Some(start);
        if end > LARGEST {
            return Ok(false);
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; LARGEST + BLOCK];
        }
        let aligned = self.buffer.as_ptr().align_offset(BLOCK);
        let blocks = &mut self.buffer[aligned..aligned + LARGEST];
        if !known && before > 0 {
            cached.read_exact_at(&mut blocks[..before], start)?;
        }
        blocks[before..end].copy_from_slice(buf);
        let whole = end.next_multiple_of(BLOCK);
        blocks[end..whole].fill(0);
        if write_at(&self.file, &blocks[..whole], start)? < whole {
            return Ok(false);
        }
        let last = end / BLOCK * BLOCK;
        if last < whole {
            blocks.copy_within(last..whole, 0);
        }
        self.block = (last < whole).then_some(start + last as u64);
        Ok(true)
    }

    /// The file was written by other ways.
    pub(super) fn forget(&mut self) {
        self.block = None;
    }
}

/// As `write_all_at` begins.
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.write_at(bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Opens the same file once more; by its descriptor, since it may have been renamed.
#[cfg(target_os = "linux")]
fn open(file: &File) -> Option<File> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .ok()
}

#[cfg(not(target_os = "linux"))]
fn open(_file: &File) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{FileSystem, RealFs};
    use proptest::prelude::*;

    /// Appends of these lengths behind each other, each by its own way, into a file of zeros.
    fn append(lengths: &[(usize, Way)]) -> (Vec<u8>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let total: usize = lengths.iter().map(|(len, _)| len + 2 * BLOCK).sum();
        let mut expected = vec![0; total.next_multiple_of(BLOCK) + BLOCK];
        let mut file = RealFs.create(&path).unwrap();
        file.write_all_at(&expected, 0).unwrap();
        let mut at = 0;
        for (n, (len, way)) in (1u8..).zip(lengths) {
            if let Way::Skip(gap) = way {
                at += gap;
            }
            expected[at..at + len].fill(n);
            let bytes = &expected[at..at + len];
            match way {
                Way::Append | Way::Skip(_) => file.append_at(bytes, at as u64).unwrap(),
                Way::Write => file.write_all_at(bytes, at as u64).unwrap(),
                Way::Reopen => {
                    file = RealFs.open(&path).unwrap();
                    file.append_at(bytes, at as u64).unwrap();
                }
            }
            at += len;
        }
        file.sync_data().unwrap();
        let mut found = vec![0; expected.len()];
        file.read_exact_at(&mut found, 0).unwrap();
        (expected, found)
    }

    #[derive(Clone, Copy, Debug)]
    enum Way {
        Append,
        /// Leaves a gap before.
        Skip(usize),
        Write,
        Reopen,
    }

    fn way() -> impl Strategy<Value = Way> {
        prop_oneof![
            6 => Just(Way::Append),
            1 => (1..2 * BLOCK).prop_map(Way::Skip),
            2 => Just(Way::Write),
            1 => Just(Way::Reopen),
        ]
    }

    fn length() -> impl Strategy<Value = usize> {
        prop_oneof![
            8 => 1..600usize,
            2 => (1..4usize).prop_map(|blocks| blocks * BLOCK),
            2 => 1..3 * BLOCK,
            1 => LARGEST - 10..LARGEST + 10,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_appended_is_there_and_nothing_else(
            lengths in prop::collection::vec((length(), way()), 1..20)
        ) {
            let (expected, found) = append(&lengths);
            prop_assert!(expected == found);
        }
    }

    #[test]
    fn this_system_writes_directly_or_says_that_it_does_not() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let Some(mut direct) = Direct::of(&file) else {
            return;
        };
        match direct.append(&file, b"some", 10) {
            Ok(done) => assert!(done),
            Err(error) => assert!(matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            )),
        }
    }
}
