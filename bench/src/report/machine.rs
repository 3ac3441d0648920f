//! On what machine and with which versions it was measured.

use crate::node;
use crate::process::{self, output};
use std::path::Path;

/// The machine in a line.
pub(crate) fn describe() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok())
        .map_or(0.0, |kib| kib / 1024.0 / 1024.0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores ({cpu}), {memory:.0} GiB of memory, Linux {}, data on {}",
        kernel.trim(),
        file_system().unwrap_or_else(|| "an unknown file system".into())
    )
}

/// The first value of a field in a file of lines like `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The file system below the measured data: that of the longest mount point.
fn file_system() -> Option<String> {
    let folder = process::folder().ok()?;
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let under = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder
            .path()
            .starts_with(point)
            .then(|| (point.len(), kind.to_owned()))
    };
    Some(mounts.lines().filter_map(under).max()?.1)
}

/// The commit that was measured; marked when the tree has changes.
pub(crate) fn revision() -> String {
    let root = node::project().to_string_lossy().into_owned();
    let args = [
        "-C",
        &root,
        "describe",
        "--always",
        "--dirty",
        "--exclude",
        "*",
    ];
    output(Path::new("git"), args).map_or_else(|_| "unknown".into(), |text| text.trim().into())
}
