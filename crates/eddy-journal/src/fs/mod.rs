//! The file system under a journal: the few operations it needs, as a trait, so that tests can
//! lose what was not flushed. [`RealFs`] is the operating system's, [`MemoryFs`] keeps everything
//! in memory, [`FaultFs`] sits on either and fails or forgets as told.

mod direct;
mod fault;
mod memory;
mod real;

pub use fault::{Counts, Fault, FaultFs, Loss};
pub use memory::MemoryFs;
pub use real::RealFs;

use std::io;
use std::path::Path;
use std::sync::Arc;

/// [`File::append_at`] writes whole blocks of this length, in bytes: the page size, and a multiple of the
/// block of nearly every disk. Others refuse, and get the page cache.
pub const APPEND_BLOCK: usize = 4096;

/// Where the block begins that holds this offset, and how many of its bytes are before it.
fn block_of(offset: u64) -> io::Result<(u64, usize)> {
    let before = offset % APPEND_BLOCK as u64;
    let start = offset - before;
    Ok((start, usize::try_from(before).map_err(io::Error::other)?))
}

/// The operations on names.
pub trait FileSystem: Send + Sync {
    /// Makes a folder and those above it, durably.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// The names of the files in a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a new, empty file; it must not exist.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name in the same folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name; open files stay usable.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The operations on one open file.
pub trait File: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it holds no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buf` from `offset`; `UnexpectedEof` when the file ends first.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf` at `offset`, growing the file as needed.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf` at `offset`, where only zeros follow: those behind it may be written
    /// again up to [`APPEND_BLOCK`], and so may what is before it. The file must be that long, and
    /// one thread at a time may append.
    fn append_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(buf, offset)
    }
    /// Whether the last [`Self::append_at`] went past the page cache.
    fn is_direct(&self) -> bool {
        false
    }
    /// Nothing more is appended: what that needed may go.
    fn appended(&self) {}
    /// Makes its bytes and its length durable.
    fn sync_data(&self) -> io::Result<()>;
}
