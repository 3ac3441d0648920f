//! What a node needs of its machine, measured and asked for without a node: for `eddy doctor`.

use crate::clock;
use eddy_journal::fs::{File, FileSystem as _, RealFs};
use eddy_types::EddyError;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Flushes that are measured.
const FLUSHES: usize = 50;
/// Bytes written before each: a small record.
const RECORD: usize = 512;

/// How long a durable write takes in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushTimes {
    /// Half of the writes are quicker.
    pub median: Duration,
    /// The slowest one.
    pub worst: Duration,
    /// Whether writes go past the page cache.
    pub direct: bool,
}

/// Writes and flushes as the journal does, some fifty times, in a file of its own in `folder` that is
/// removed again. Blocks for as long as that takes.
///
/// # Errors
/// What the file system says.
pub fn measure_flushes(folder: &Path) -> io::Result<FlushTimes> {
    let path = folder.join(format!(".eddy-doctor-{}", std::process::id()));
    let file = RealFs.create(&path)?;
    let measured = measure(&*file);
    RealFs.remove(&path)?;
    measured
}

fn measure(file: &dyn File) -> io::Result<FlushTimes> {
    // As a segment of the journal: its length is there before anything is appended.
    file.write_all_at(&vec![0; FLUSHES * RECORD], 0)?;
    file.sync_data()?;
    let mut times = Vec::with_capacity(FLUSHES);
    for n in 0..FLUSHES {
        let start = clock::instant();
        file.append_at(&[1; RECORD], (n * RECORD) as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(FlushTimes {
        median: times[FLUSHES / 2],
        worst: times[FLUSHES - 1],
        direct: file.is_direct(),
    })
}

/// What is missing for `instances` live instances, if the kernel allows a process too few memory maps.
#[must_use]
pub fn map_shortage(instances: u32) -> Option<EddyError> {
    eddy_wasm::map_shortage(instances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_are_measured_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let times = measure_flushes(dir.path()).expect("it can be written");
        assert!(times.median > Duration::ZERO && times.worst >= times.median);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
        assert!(measure_flushes(&dir.path().join("none")).is_err());
    }
}
