//! One file of the fault-injecting file system: durable bytes below, unflushed ones above.

use super::{Dice, Fault, State};
use crate::fs::{APPEND_BLOCK, File, block_of};
use parking_lot::Mutex;
use std::io;
use std::mem;
use std::sync::Arc;

const SECTOR: usize = 512;

/// One file: what is durable, and what is not yet.
pub(super) struct Node(Mutex<NodeState>);

struct NodeState {
    /// The file on the disk; in memory while its name is not durable.
    disk: Arc<dyn File>,
    pending: Vec<Write>,
}

struct Write {
    offset: u64,
    bytes: Vec<u8>,
    /// A flush of it failed: readable, never durable.
    lost: bool,
}

impl Node {
    pub(super) fn new(disk: Arc<dyn File>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(NodeState {
            disk,
            pending: Vec::new(),
        })))
    }

    /// Its name became durable: moves its durable bytes to the disk.
    pub(super) fn settle(&self, file: Arc<dyn File>) -> io::Result<()> {
        let mut node = self.0.lock();
        let mut bytes = vec![0; usize::try_from(node.disk.len()?).map_err(io::Error::other)?];
        node.disk.read_exact_at(&mut bytes, 0)?;
        file.write_all_at(&bytes, 0)?;
        node.disk = file;
        Ok(())
    }

    /// Writes about half of the sectors that were not flushed.
    pub(super) fn tear(&self, dice: &mut Dice) -> io::Result<()> {
        let mut node = self.0.lock();
        for write in mem::take(&mut node.pending)
            .into_iter()
            .filter(|write| !write.lost)
        {
            let mut at = 0;
            while at < write.bytes.len() {
                let offset = write.offset + at as u64;
                let in_sector = SECTOR - usize::try_from(offset % SECTOR as u64).unwrap_or(0);
                let end = write.bytes.len().min(at + in_sector);
                if dice.below(2) == 0 {
                    node.disk.write_all_at(&write.bytes[at..end], offset)?;
                }
                at = end;
            }
        }
        Ok(())
    }
}

/// An open file.
pub(super) struct FaultFile {
    pub(super) node: Arc<Node>,
    pub(super) epoch: u64,
    pub(super) state: Arc<Mutex<State>>,
}

impl FaultFile {
    /// The state, unless the machine stopped since this file was opened.
    fn alive(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.state.lock();
        match state.epoch == self.epoch {
            true => Ok(state),
            false => Err(io::Error::other("the machine stopped")),
        }
    }
}

/// Counts a planned fault down; the fault when it is its turn.
fn due(plan: &mut Option<(u64, Fault)>) -> Option<Fault> {
    let (left, fault) = plan.as_mut()?;
    *left = left.saturating_sub(1);
    let fault = (*left == 0).then_some(*fault)?;
    *plan = None;
    Some(fault)
}

impl File for FaultFile {
    fn len(&self) -> io::Result<u64> {
        let _alive = self.alive()?;
        let node = self.node.0.lock();
        let ends = node
            .pending
            .iter()
            .map(|write| write.offset + write.bytes.len() as u64);
        Ok(ends.fold(node.disk.len()?, u64::max))
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        if end > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let node = self.node.0.lock();
        let durable = node.disk.len()?.clamp(offset, end) - offset;
        let (there, beyond) = buf.split_at_mut(usize::try_from(durable).map_err(io::Error::other)?);
        node.disk.read_exact_at(there, offset)?;
        beyond.fill(0);
        for write in &node.pending {
            let from = write.offset.max(offset);
            let to = (write.offset + write.bytes.len() as u64).min(end);
            if from < to {
                let place = |at: u64, base: u64| usize::try_from(at - base).unwrap_or(usize::MAX);
                buf[place(from, offset)..place(to, offset)].copy_from_slice(
                    &write.bytes[place(from, write.offset)..place(to, write.offset)],
                );
            }
        }
        Ok(())
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.alive()?;
        state.counts.writes += 1;
        let fault = due(&mut state.fail_write);
        let written = if fault.is_some() {
            &buf[..buf.len() / 2]
        } else {
            buf
        };
        let write = Write {
            offset,
            bytes: written.to_vec(),
            lost: false,
        };
        self.node.0.lock().pending.push(write);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    /// Writes whole blocks, as a disk does.
    fn append_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let (start, before) = block_of(offset)?;
        let end = before + buf.len();
        let mut blocks = vec![0; end.next_multiple_of(APPEND_BLOCK)];
        if start + blocks.len() as u64 > self.len()? {
            return Err(io::Error::other("appended behind the end of the file"));
        }
        self.read_exact_at(&mut blocks[..before], start)?;
        blocks[before..end].copy_from_slice(buf);
        self.write_all_at(&blocks, start)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.alive()?;
        state.counts.syncs += 1;
        let mut node = self.node.0.lock();
        if let Some(fault) = due(&mut state.fail_sync) {
            node.pending.iter_mut().for_each(|write| write.lost = true);
            return Err(fault.error());
        }
        if state.lying {
            return Ok(());
        }
        let (lost, good) = mem::take(&mut node.pending)
            .into_iter()
            .partition(|write| write.lost);
        node.pending = lost;
        let good: Vec<Write> = good;
        good.iter()
            .try_for_each(|write| node.disk.write_all_at(&write.bytes, write.offset))
    }
}
