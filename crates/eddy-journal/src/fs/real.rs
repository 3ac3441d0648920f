//! The operating system's file system.

use super::direct::Direct;
use super::{File, FileSystem};
use parking_lot::Mutex;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The operating system's files and folders.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl FileSystem for RealFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Arc::new(RealFile::new(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile::new(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }
}

struct RealFile {
    file: fs::File,
    direct: Mutex<Way>,
}

/// How appended bytes get to the disk.
enum Way {
    Untried,
    Direct(Box<Direct>),
    /// This file cannot be written past the page cache.
    Cached,
}

impl RealFile {
    fn new(file: fs::File) -> Self {
        Self {
            file,
            direct: Mutex::new(Way::Untried),
        }
    }

    /// Writes past the page cache, if that can be done. Returns whether it did.
    fn append_direct(&self, buf: &[u8], offset: u64) -> io::Result<bool> {
        let mut way = self.direct.lock();
        if matches!(*way, Way::Untried) {
            *way =
                Direct::of(&self.file).map_or(Way::Cached, |direct| Way::Direct(Box::new(direct)));
        }
        let Way::Direct(direct) = &mut *way else {
            return Ok(false);
        };
        match direct.append(&self.file, buf, offset) {
            Err(error) if is_refused(&error) => {
                *way = Way::Cached;
                Ok(false)
            }
            done => done,
        }
    }
}

/// Whether the file system does not do direct writes, or not with blocks of this size.
fn is_refused(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if let Way::Direct(direct) = &mut *self.direct.lock() {
            direct.forget();
        }
        self.file.write_all_at(buf, offset)
    }

    fn append_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if self.append_direct(buf, offset)? {
            return Ok(());
        }
        self.write_all_at(buf, offset)
    }

    fn is_direct(&self) -> bool {
        matches!(*self.direct.lock(), Way::Direct(_))
    }

    fn appended(&self) {
        *self.direct.lock() = Way::Untried;
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
