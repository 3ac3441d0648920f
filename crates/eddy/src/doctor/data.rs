//! The data folder: whether it can be written, on what, how much fits, and how long a flush takes.

use super::{Check, bytes};
use eddy_node::{FlushTimes, data_in_use, measure_flushes};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Less than this does not take a node through its start: a segment of the journal and the store.
const LEAST_SPACE: u64 = 256 << 20;
/// Less than this is soon full.
const GOOD_SPACE: u64 = 2 << 30;
/// A flush that takes longer makes each lone durable turn feel slow.
const SLOW_FLUSH: Duration = Duration::from_millis(5);

/// `answers`: a node runs, and may be the one that uses the folder.
pub(crate) fn checks(data: &Path, answers: bool) -> Vec<Check> {
    let Some(folder) = existing(data) else {
        let found = format!("{} cannot be looked at", data.display());
        return vec![Check::fail(
            "data folder",
            found,
            "Give another folder with --data.",
        )];
    };
    let mut checks = vec![whole(data, &folder, answers)];
    checks.extend(file_system(&folder));
    checks.extend(space(&folder));
    if data.is_dir() || !data.exists() {
        checks.push(flush(measure_flushes(&folder), &folder));
    }
    checks
}

/// The folder, or the nearest above it that there is: where it will be made.
fn existing(data: &Path) -> Option<PathBuf> {
    let data = std::path::absolute(data).ok()?;
    let there = data.ancestors().find(|path| path.exists())?;
    fs::canonicalize(there).ok()
}

fn whole(data: &Path, there: &Path, answers: bool) -> Check {
    const NAME: &str = "data folder";
    let shown = data.display();
    if data.exists() && !data.is_dir() {
        let found = format!("{shown} is not a folder");
        return Check::fail(NAME, found, "Give a folder with --data.");
    }
    match data.exists() {
        true if !data_in_use(data) => Check::ok(NAME, format!("{shown} is there")),
        true if answers => Check::ok(NAME, format!("{shown} is there, and a node uses it")),
        true => Check::fail(
            NAME,
            format!("another node uses {shown}, and it is not the one that was asked"),
            "Stop that node, choose another folder with --data, or say with --url where it is.",
        ),
        false => Check::ok(NAME, format!("{shown} will be made in {}", there.display())),
    }
}

fn file_system(folder: &Path) -> Option<Check> {
    const NAME: &str = "file system";
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = kind_at(&mounts, folder)?;
    let advice = match kind.as_str() {
        "tmpfs" | "ramfs" => {
            "It is in memory: gone when the machine stops. Put the data folder on a disk."
        }
        "overlay" | "aufs" => {
            "It belongs to the container: gone with it. Mount a volume for the data folder."
        }
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "fuse" | "virtiofs" | "vboxsf" => {
            "It is not of this kernel alone: what a flush promises is another side's word. Put the data folder on a local disk."
        }
        _ if kind.starts_with("fuse.") => {
            "It is not of this kernel alone: what a flush promises is another program's word. Put the data folder on a local disk."
        }
        _ => return Some(Check::ok(NAME, kind)),
    };
    Some(Check::warn(NAME, kind, advice))
}

/// The kind of file system that holds `path`, of the lines of `/proc/self/mountinfo`.
fn kind_at(mounts: &str, path: &Path) -> Option<String> {
    let all = mounts.lines().filter_map(|line| {
        // ID, parent, device, root, mount point, options, more of them, "-", kind
        let point = line.split(' ').nth(4)?.replace("\\040", " ");
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        path.starts_with(&point)
            .then(|| (point.len(), kind.to_owned()))
    });
    // A later mount hides an earlier one at the same point.
    all.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn space(folder: &Path) -> Option<Check> {
    const NAME: &str = "disk space";
    let system = rustix::fs::statvfs(folder).ok()?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let found = format!("{} free", bytes(free));
    let advice = "Make room: a node whose disk is full stops.";
    Some(match free {
        ..LEAST_SPACE => Check::fail(NAME, found, advice),
        LEAST_SPACE..GOOD_SPACE => Check::warn(NAME, found, advice),
        _ => Check::ok(NAME, found),
    })
}

fn flush(measured: std::io::Result<FlushTimes>, folder: &Path) -> Check {
    const NAME: &str = "disk flush";
    let times = match measured {
        Ok(times) => times,
        Err(error) => {
            let found = format!("{} cannot be written: {error}", folder.display());
            return Check::fail(
                NAME,
                found,
                "Give a folder that this user may write with --data.",
            );
        }
    };
    let way = match times.direct {
        true => "past the page cache",
        false => "through the page cache",
    };
    let found = format!(
        "{} for half of them, {} at worst, {way}",
        short(times.median),
        short(times.worst)
    );
    if times.median < SLOW_FLUSH {
        return Check::ok(NAME, found);
    }
    Check::warn(
        NAME,
        found,
        "Every durable turn waits for one. Use a disk with a power-safe cache, or durability \"relaxed\" where a crash may lose 100 ms.",
    )
}

/// With three digits or so.
fn short(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        ..1_000 => format!("{micros} us"),
        1_000..100_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{} ms", micros / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    const MOUNTS: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:20 / /tmp rw - tmpfs tmpfs rw
24 22 0:21 / /mnt/my\\040disk rw - fuse.sshfs host:/ rw
25 22 0:22 / /tmp rw - xfs /dev/vdb rw
";

    #[test]
    fn the_innermost_mount_counts() {
        let kind = |path: &str| kind_at(MOUNTS, Path::new(path));
        assert_eq!(kind("/home/ada").as_deref(), Some("ext4"));
        assert_eq!(kind("/tmp/x").as_deref(), Some("xfs"));
        assert_eq!(kind("/mnt/my disk/eddy").as_deref(), Some("fuse.sshfs"));
        assert_eq!(kind_at("nonsense", Path::new("/")), None);
    }

    #[test]
    fn slow_and_impossible_flushes_are_told() {
        let times = |millis| FlushTimes {
            median: Duration::from_micros(millis),
            worst: Duration::from_millis(1234),
            direct: true,
        };
        let folder = Path::new("/data");
        let quick = flush(Ok(times(87)), folder);
        assert_eq!(quick.status, Status::Ok);
        assert_eq!(
            quick.found,
            "87 us for half of them, 1234 ms at worst, past the page cache"
        );
        let slow = flush(Ok(times(7_250)), folder);
        assert_eq!(slow.status, Status::Warn);
        assert!(slow.found.starts_with("7.2 ms"), "{}", slow.found);
        let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(flush(Err(refused), folder).status, Status::Fail);
    }

    #[test]
    fn a_folder_that_is_missing_is_looked_at_where_it_will_be() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let data = dir.path().join("not/yet");
        let there = existing(&data).expect("the folder above");
        assert_eq!(there, fs::canonicalize(dir.path()).expect("it is there"));
        assert_eq!(whole(&data, &there, false).status, Status::Ok);
        let file = dir.path().join("file");
        fs::write(&file, "").expect("it can be written");
        assert_eq!(checks(&file, false)[0].status, Status::Fail);
    }
}
