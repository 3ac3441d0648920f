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
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a node has this data folder open. For advice only: another may open it right after.
#[must_use]
pub fn data_in_use(root: &Path) -> bool {
    let lock = File::open(root.join("LOCK"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// An open data folder. The lock ends with it, or with the process.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
    pub(crate) key: [u8; 32],
}

impl DataDir {
    pub(crate) fn open(root: &Path) -> Result<Self, EddyError> {
        // What all tenants keep is in it: it is nobody else's to read.
        make_folder_as(root, 0o700).map_err(|error| failed(root, "cannot be made", &error))?;
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
            make_folder(&path).map_err(|error| failed(&path, "cannot be made", &error))?;
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

/// The key of a folder for compiled code that nodes share. Both are made when they are not there.
pub(crate) fn shared_key(folder: &Path) -> Result<[u8; 32], EddyError> {
    make_folder(folder).map_err(|error| failed(folder, "cannot be made", &error))?;
    read_or_make_key(&folder.join("key"))
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
    let key = random_key()?;
    write_atomically(path, &key, 0o600)
        .map_err(|error| failed(path, "cannot be written", &error))?;
    Ok(key)
}

/// A new key, for a secret that is kept.
pub(crate) fn random_key() -> Result<[u8; 32], EddyError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| {
        EddyError::internal(format!("the system gives no random bytes: {error}"))
    })?;
    Ok(key)
}

/// Writes a file so that a crash leaves the old one or the new one, and so that it stays.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error to tell is the first one; a leftover is removed at the next start.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_parent(path)
}

/// A name of its own for each write: two writers of a file never share one.
fn temporary_beside(path: &Path) -> PathBuf {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{write}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file so that it stays away. That it is gone already is fine.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    sync_parent(path)
}

/// Makes a folder, and those above it, so that it stays.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    make_folder_as(path, 0o777)
}

/// [`make_folder`] with this mode, less what the umask takes. One that is there keeps its own.
fn make_folder_as(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        make_folder(parent)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    sync_parent(path)
}

/// Flushes the folder that names `path`: without that a crash may undo a rename or removal.
fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) => Path::new("."),
        None => return Ok(()),
    };
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(folder.to_owned()));
    File::open(folder)?.sync_all()
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
    use std::cell::RefCell;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    thread_local! {
        /// Folders that this thread has flushed.
        pub(super) static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn new_folders_and_removals_are_flushed_in_the_folders_above() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (root, a) = (dir.path(), dir.path().join("a"));
        make_folder(&a.join("b")).expect("made");
        assert_eq!(SYNCED.take(), [root.to_owned(), a.clone()]);
        make_folder(&a.join("b")).expect("is there");
        assert!(SYNCED.take().is_empty());
        let file = a.join("file");
        write_atomically(&file, b"x", 0o644).expect("written");
        assert_eq!(SYNCED.take(), std::slice::from_ref(&a));
        for _ in 0..2 {
            remove_file(&file).expect("removed");
            assert_eq!(SYNCED.take(), std::slice::from_ref(&a));
        }
    }

    #[test]
    fn a_new_data_folder_is_its_users_alone_and_another_one_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mode = |path: &Path| {
            let found = fs::metadata(path).expect("is there");
            found.permissions().mode() & 0o777
        };
        let data = dir.path().join("above/data");
        drop(DataDir::open(&data).expect("opens"));
        assert_eq!(mode(&data), 0o700);
        assert_ne!(mode(&dir.path().join("above")), 0o700, "not a node's own");
        fs::set_permissions(&data, Permissions::from_mode(0o750)).expect("set");
        drop(DataDir::open(&data).expect("opens"));
        assert_eq!(mode(&data), 0o750, "somebody wanted it so");
    }

    #[test]
    fn writers_of_one_file_do_not_meet() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file.json");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let file = &file;
                scope.spawn(move || {
                    for _ in 0..20 {
                        write_atomically(file, &vec![writer; 100_000], 0o644).expect("written");
                        let read = fs::read(file).expect("readable");
                        assert_eq!(read.len(), 100_000);
                        assert!(read.iter().all(|byte| *byte == read[0]));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

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
