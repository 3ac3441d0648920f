//! Floors of durability: one append and one flush, and many appends that share flushes.

use crate::load;
use crate::process;
use crate::rows::Figures;
use anyhow::Result;
use parking_lot::{Condvar, Mutex};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

const BLOCK: usize = 4096;
/// The preallocated file, in blocks.
const BLOCKS: u64 = 16 * 1024;
/// A record of the group commit.
const RECORD: usize = 128;
/// A probe is short: it runs beside every row.
const PROBE: Duration = Duration::from_millis(60);

/// Appends 4 KiB to a growing file and flushes, over and over.
pub(crate) fn append(time: Duration) -> Result<Figures> {
    let folder = process::folder()?;
    let file = File::create(folder.path().join("append"))?;
    load::threads(1, time, |_| {
        let mut file = file.try_clone()?;
        Ok(move || {
            file.write_all(&[7; BLOCK])?;
            Ok(file.sync_data()?)
        })
    })
}

/// The same in a file whose blocks are there already: what a log that preallocates can reach.
pub(crate) fn overwrite(time: Duration) -> Result<Figures> {
    let folder = process::folder()?;
    let file = File::create(folder.path().join("overwrite"))?;
    file.write_all_at(&vec![0; BLOCK * BLOCKS as usize], 0)?;
    file.sync_all()?;
    load::threads(1, time, |_| {
        let file = file.try_clone()?;
        let mut at = 0;
        Ok(move || {
            file.write_all_at(&[7; BLOCK], (at % BLOCKS) * BLOCK as u64)?;
            at += 1;
            Ok(file.sync_data()?)
        })
    })
}

/// The median of some appends with a flush, in microseconds: how the disk is right now.
pub(crate) fn probe() -> Result<f64> {
    let folder = process::folder()?;
    let mut file = File::create(folder.path().join("probe"))?;
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < PROBE {
        let began = Instant::now();
        file.write_all(&[7; BLOCK])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(Figures::of(times)?.p50_us.unwrap_or_default())
}

/// How far a shared log is.
#[derive(Default)]
struct Progress {
    written: u64,
    flushed: u64,
    flushing: bool,
}

#[derive(Default)]
struct Log {
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// Threads that append small records to one file. Whoever finds nobody flushing flushes for all
/// that have written; the others wait for it.
pub(crate) fn group(threads: usize, time: Duration) -> Result<Figures> {
    let folder = process::folder()?;
    let path = folder.path().join("group");
    let file = File::options().append(true).create(true).open(path)?;
    let log = Log::default();
    load::threads(threads, time, |_| {
        let mut file = file.try_clone()?;
        let log = &log;
        Ok(move || commit(log, &mut file))
    })
}

fn commit(log: &Log, file: &mut File) -> Result<()> {
    let mut progress = log.progress.lock();
    file.write_all(&[1; RECORD])?;
    progress.written += 1;
    let own = progress.written;
    while progress.flushed < own {
        if progress.flushing {
            log.changed.wait(&mut progress);
            continue;
        }
        progress.flushing = true;
        drop(progress);
        // Who is about to write gets the chance to share this flush.
        std::thread::yield_now();
        let upto = log.progress.lock().written;
        let done = file.sync_data();
        progress = log.progress.lock();
        progress.flushing = false;
        if done.is_ok() {
            progress.flushed = upto;
        }
        log.changed.notify_all();
        done?;
    }
    Ok(())
}
