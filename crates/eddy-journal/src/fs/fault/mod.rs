//! A file system that behaves like a cruel but lawful disk: what was not flushed is kept in this
//! process's memory only, so a crash (called for, or a real kill -9) loses it. It can tear
//! writes, fail the n-th write or flush, and, to prove a test's worth, lie about flushing.
//!
//! Laws: a file's bytes and length are durable after its `sync_data`; its name (made, changed or
//! removed) is durable after `sync_dir`; after a failed flush the bytes stay readable but are
//! never written, not even by a later flush that succeeds.

mod file;

use super::memory::MemoryFile;
use super::{File, FileSystem, MemoryFs};
use file::{FaultFile, Node};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An I/O error of the device.
    Io,
    /// No space left.
    DiskFull,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("injected I/O error"),
            Self::DiskFull => io::ErrorKind::StorageFull.into(),
        }
    }
}

/// What a crash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Everything that was not flushed.
    All,
    /// About half of the unflushed sectors, and the names after some point; the seed decides.
    Torn {
        /// The same seed on the same writes loses the same.
        seed: u64,
    },
}

/// Operations so far, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes to files.
    pub writes: u64,
    /// Flushes of files.
    pub syncs: u64,
    /// Flushes of folders.
    pub dir_syncs: u64,
}

/// See the module's text.
pub struct FaultFs {
    disk: Arc<dyn FileSystem>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Counts crashes: files opened before one are dead.
    epoch: u64,
    /// Files opened or made since the last crash, by the name they have now.
    nodes: BTreeMap<PathBuf, Arc<Node>>,
    /// Changes of names that were not flushed.
    names: Vec<NameChange>,
    counts: Counts,
    fail_write: Option<(u64, Fault)>,
    fail_sync: Option<(u64, Fault)>,
    lying: bool,
}

enum NameChange {
    Created(PathBuf, Arc<Node>),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl FaultFs {
    /// Over a disk in memory.
    #[must_use]
    pub fn memory() -> Arc<Self> {
        Self::over(MemoryFs::new())
    }

    /// Over this disk, which gets flushed bytes only. Over [`super::RealFs`] a killed process
    /// loses exactly what it had not flushed.
    #[must_use]
    pub fn over(disk: Arc<dyn FileSystem>) -> Arc<Self> {
        Arc::new(Self {
            disk,
            state: Arc::default(),
        })
    }

    /// The disk underneath: what is durable.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.disk)
    }

    /// Fails the `nth` write from now (1 is the next); half of its bytes are written.
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        self.state.lock().fail_write = Some((nth, fault));
    }

    /// Fails the `nth` flush of a file from now (1 is the next).
    pub fn fail_sync(&self, nth: u64, fault: Fault) {
        self.state.lock().fail_sync = Some((nth, fault));
    }

    /// While `true`, `sync_data` says that it worked and does nothing.
    pub fn set_lying(&self, lying: bool) {
        self.state.lock().lying = lying;
    }

    /// Operations so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// The machine stops: unflushed bytes and names are lost as `loss` says, planned faults are
    /// forgotten, and files that are open fail from now on.
    pub fn crash(&self, loss: Loss) -> io::Result<()> {
        let mut state = self.state.lock();
        let counts = state.counts;
        let epoch = state.epoch + 1;
        let old = mem::replace(
            &mut *state,
            State {
                epoch,
                counts,
                ..State::default()
            },
        );
        let Loss::Torn { seed } = loss else {
            return Ok(());
        };
        let mut dice = Dice(seed);
        let kept = dice.below(old.names.len() as u64 + 1);
        let mut nodes: Vec<_> = old.nodes.into_values().collect();
        for change in old
            .names
            .into_iter()
            .take(usize::try_from(kept).unwrap_or(0))
        {
            if let NameChange::Created(_, node) = &change {
                nodes.push(Arc::clone(node));
            }
            self.apply(change)?;
        }
        for node in nodes {
            node.tear(&mut dice)?;
        }
        Ok(())
    }

    /// Does a change of names on the disk.
    fn apply(&self, change: NameChange) -> io::Result<()> {
        match change {
            NameChange::Created(path, node) => node.settle(self.disk.create(&path)?),
            NameChange::Renamed(from, to) => self.disk.rename(&from, &to),
            NameChange::Removed(path) => self.disk.remove(&path),
        }
    }

    /// The names in a folder as this process sees them.
    fn names(&self, state: &State, dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
        let names = self.disk.list(dir)?;
        let mut paths: BTreeSet<_> = names.into_iter().map(|name| dir.join(name)).collect();
        for change in &state.names {
            match change {
                NameChange::Created(path, _) => drop(paths.insert(path.clone())),
                NameChange::Removed(path) => drop(paths.remove(path)),
                NameChange::Renamed(from, to) => {
                    paths.remove(from);
                    paths.insert(to.clone());
                }
            }
        }
        paths.retain(|path| path.parent() == Some(dir));
        Ok(paths)
    }

    fn exists(&self, state: &State, path: &Path) -> io::Result<bool> {
        let dir = path.parent().unwrap_or(Path::new(""));
        Ok(self.names(state, dir)?.contains(path))
    }

    fn handle(&self, state: &State, node: Arc<Node>) -> Arc<dyn File> {
        Arc::new(FaultFile {
            node,
            epoch: state.epoch,
            state: Arc::clone(&self.state),
        })
    }
}

impl FileSystem for FaultFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let paths = self.names(&self.state.lock(), dir)?;
        Ok(paths
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        if self.exists(&state, path)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = Node::new(Arc::new(MemoryFile::default()));
        state
            .names
            .push(NameChange::Created(path.to_owned(), Arc::clone(&node)));
        state.nodes.insert(path.to_owned(), Arc::clone(&node));
        Ok(self.handle(&state, node))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        if !self.exists(&state, path)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let node = match state.nodes.get(path) {
            Some(node) => Arc::clone(node),
            None => {
                let node = Node::new(self.disk.open(path)?);
                state.nodes.insert(path.to_owned(), Arc::clone(&node));
                node
            }
        };
        Ok(self.handle(&state, node))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        drop(self.open(from)?);
        let mut state = self.state.lock();
        if let Some(node) = state.nodes.remove(from) {
            state.nodes.insert(to.to_owned(), node);
        }
        state
            .names
            .push(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if !self.exists(&state, path)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.nodes.remove(path);
        state.names.push(NameChange::Removed(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.counts.dir_syncs += 1;
        let here = |change: &NameChange| match change {
            NameChange::Created(path, _)
            | NameChange::Renamed(path, _)
            | NameChange::Removed(path) => path.parent() == Some(dir),
        };
        let (now, later) = mem::take(&mut state.names).into_iter().partition(here);
        state.names = later;
        let now: Vec<NameChange> = now;
        now.into_iter().try_for_each(|change| self.apply(change))
    }
}

/// A small generator (SplitMix64): the same seed gives the same losses.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}
