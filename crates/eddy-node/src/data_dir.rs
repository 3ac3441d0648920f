//! The data folder: where things are, the lock that keeps a second node out, and the node's key.
//!
//! ```text
//! DIR/LOCK          held while a node runs
//! DIR/node.key      32 random bytes; authenticates compiled code
//! DIR/journal/      the truth
//! DIR/store/        the state materialised from it
//! DIR/apps/         what is deployed, one JSON file an app
//! DIR/components/   code by digest
//! DIR/cache/        compiled code; may be deleted
//! ```

use eddy_types::{EddyError, ErrorCode};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// An open data folder. The lock ends with it, or with the process.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
    pub(crate) key: [u8; 32],
}

impl DataDir {
    pub(crate) fn open(root: &Path) -> Result<Self, EddyError> {
        fs::create_dir_all(root).map_err(|error| failed(root, "cannot be made", &error))?;
        let path = root.join("LOCK");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let lock = lock.map_err(|error| failed(&path, "cannot be opened", &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(EddyError::new(
                    ErrorCode::DataInUse,
                    format!("another node uses {}", root.display()),
                )
                .hint("Stop that node, or choose another folder with --data."));
            }
            Err(TryLockError::Error(error)) => {
                return Err(failed(&path, "cannot be locked", &error));
            }
        }
        for folder in ["apps", "components", "cache"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|error| failed(&path, "cannot be made", &error))?;
        }
        let key = read_or_make_key(&root.join("node.key"))?;
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
            key,
        })
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn read_or_make_key(path: &Path) -> Result<[u8; 32], EddyError> {
    let mut key = [0; 32];
    match File::open(path) {
        Ok(mut file) => {
            file.read_exact(&mut key)
                .map_err(|error| failed(path, "cannot be read", &error))?;
            return Ok(key);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(path, "cannot be read", &error)),
    }
    getrandom::fill(&mut key).map_err(|error| {
        EddyError::internal(format!("the system gives no random bytes: {error}"))
    })?;
    write_atomically(path, &key, 0o600)
        .map_err(|error| failed(path, "cannot be written", &error))?;
    Ok(key)
}

/// Writes a file so that a crash leaves the old one or the new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn failed(path: &Path, what: &str, error: &io::Error) -> EddyError {
    EddyError::new(
        ErrorCode::StoreFailed,
        format!("{} {what}: {error}", path.display()),
    )
    .hint("Check the folder's permissions and the free space of its disk.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_is_kept_out_and_the_key_stays() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = DataDir::open(dir.path()).expect("opens");
        let refused = DataDir::open(dir.path()).expect_err("is in use");
        assert_eq!(refused.code, ErrorCode::DataInUse);
        let key = first.key;
        drop(first);
        assert_eq!(DataDir::open(dir.path()).expect("opens again").key, key);
    }
}
