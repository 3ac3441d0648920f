//! A local journal over a file system that loses what was not flushed.

use eddy_journal::conformance::Harness;
use eddy_journal::fs::{Fault, FaultFs, FileSystem, Loss};
use eddy_journal::{Journal, JournalError, JournalEvents, LocalConfig, LocalJournal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Local {
    pub fs: Arc<FaultFs>,
    pub config: LocalConfig,
    pub loss: Loss,
}

impl Local {
    pub fn new(segment_bytes: u64) -> Self {
        let grow_bytes = (segment_bytes / 4).min(64 << 10);
        let config = LocalConfig {
            segment_bytes,
            grow_bytes,
            ..LocalConfig::new("/journal")
        };
        Self {
            fs: FaultFs::memory(),
            config,
            loss: Loss::All,
        }
    }

    pub fn try_open(
        &self,
        events: Arc<dyn JournalEvents>,
    ) -> Result<Arc<LocalJournal>, JournalError> {
        let fs = Arc::clone(&self.fs) as Arc<dyn FileSystem>;
        Ok(Arc::new(LocalJournal::open(
            self.config.clone(),
            fs,
            events,
        )?))
    }

    /// Names of the segment files that are durable, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        let dir = Path::new("/journal");
        let mut names = self.fs.disk().list(dir).expect("list");
        names.sort();
        names.into_iter().map(|name| dir.join(name)).collect()
    }

    /// The durable bytes of a file.
    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let file = self.fs.disk().open(path).expect("open");
        let mut bytes = vec![0; usize::try_from(file.len().expect("len")).expect("small")];
        file.read_exact_at(&mut bytes, 0).expect("read");
        bytes
    }
}

/// A disk that holds exactly these files.
pub fn disk_of(files: &[(PathBuf, Vec<u8>)]) -> Local {
    let local = Local::new(4096);
    let disk = local.fs.disk();
    for (path, bytes) in files {
        disk.create(path)
            .expect("create")
            .write_all_at(bytes, 0)
            .expect("write");
    }
    local
}

impl Harness for Local {
    fn open(&mut self, events: Arc<dyn JournalEvents>) -> Result<Arc<dyn Journal>, JournalError> {
        Ok(self.try_open(events)?)
    }

    fn crash(&mut self) {
        self.fs.crash(self.loss).expect("the disk in memory works");
    }

    fn fail_next_commit(&mut self) {
        self.fs.fail_sync(1, Fault::Io);
    }
}
