//! The kernel, the processors, memory, and the limits of a process.

use super::{Check, bytes};
use eddy_node::{NodeConfig, map_shortage};
use eddy_types::limits::{MAX_CONNECTIONS, MAX_OUTBOUND_REQUESTS};
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Files that a node has open besides its connections: the store's, the journal's, the shared ones.
const OTHER_FILES: u64 = 1_000;
/// Fewer than this, and a node does not get through its start.
const FEWEST_FILES: u64 = 256;
/// Memory for everything but idle agents.
const REST_OF_NODE: u64 = 1 << 30;
/// Less than this, and hardly an agent fits.
const LEAST_MEMORY: u64 = 256 << 20;

pub(crate) fn checks() -> Vec<Check> {
    let config = NodeConfig::new("");
    vec![
        system(),
        processors(),
        memory(
            available_memory(),
            config.guest_memory as u64 + REST_OF_NODE,
        ),
        // A node asks for all that it may have.
        open_files(getrlimit(Resource::Nofile).maximum),
        memory_maps(config.max_instances),
    ]
}

fn system() -> Check {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let (system, release) = (text(name.sysname()), text(name.release()));
    let found = format!("{system} {release}, {}", text(name.machine()));
    match system.as_str() {
        "Linux" => Check::ok("kernel", found),
        _ => Check::warn(
            "kernel",
            found,
            "Good to develop on. In production run nodes on Linux: it is what they are tested on.",
        ),
    }
}

fn processors() -> Check {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let features = features();
    let list: Vec<_> = features
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect();
    let found = format!("{count} usable; {}", list.join(", "));
    if features.iter().all(|(_, has)| *has) {
        return Check::ok("processors", found.trim_end_matches("; ").to_owned());
    }
    let missing: Vec<_> = features
        .iter()
        .filter(|(_, has)| !has)
        .map(|(name, _)| *name)
        .collect();
    Check::warn(
        "processors",
        found,
        format!(
            "There is no {}: compiled guests get slower. On a virtual machine choose a processor type that passes it on.",
            missing.join(", no ")
        ),
    )
}

/// What compiled guests make use of.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<(&'static str, bool)> {
    vec![
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("popcnt", std::is_x86_feature_detected!("popcnt")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("bmi2", std::is_x86_feature_detected!("bmi2")),
        ("lzcnt", std::is_x86_feature_detected!("lzcnt")),
    ]
}

/// Elsewhere the baseline has all of them.
#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<(&'static str, bool)> {
    Vec::new()
}

/// What this process may use, and who says so.
fn available_memory() -> Option<(u64, &'static str)> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine
        .as_deref()
        .and_then(total_of)
        .map(|total| (total, "of the machine"));
    let group = group_limit().map(|limit| (limit, "of this control group"));
    machine.into_iter().chain(group).min()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The least limit of this process's control group and those above it, if any of them has one.
fn group_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let second = Path::new("/sys/fs/cgroup").join(own.unwrap_or_default());
    let second = second
        .ancestors()
        .take_while(|path| path.starts_with("/sys/fs/cgroup"));
    let files = second.map(|path| path.join("memory.max"));
    let first = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").to_owned();
    let limits = files.chain([first]).filter_map(|file| {
        // Without a limit it says `max`, or a number beyond all memory.
        fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    });
    limits.min()
}

fn memory(available: Option<(u64, &'static str)>, wanted: u64) -> Check {
    let Some((available, whose)) = available else {
        return Check::ok("memory", "the system does not say how much there is");
    };
    let found = format!("{} {whose}", bytes(available));
    if available < LEAST_MEMORY {
        let advice = format!("Give it {} at least.", bytes(LEAST_MEMORY));
        return Check::fail("memory", found, advice);
    }
    if available < wanted {
        let advice = format!(
            "Idle agents may take {} in all before the first go. With many agents give it {}, or shorten `idle` in eddy.toml.",
            bytes(wanted - REST_OF_NODE),
            bytes(wanted)
        );
        return Check::warn("memory", found, advice);
    }
    Check::ok("memory", found)
}

fn open_files(limit: Option<u64>) -> Check {
    const NAME: &str = "open files";
    let connections = MAX_CONNECTIONS + MAX_OUTBOUND_REQUESTS;
    let wanted = connections as u64 + OTHER_FILES;
    let Some(limit) = limit else {
        return Check::ok(NAME, "no limit");
    };
    let found = format!("{limit} at once");
    let advice = format!(
        "{connections} connections and the store need {wanted}: run `ulimit -n {}` in the shell that starts the node, or set LimitNOFILE in its unit.",
        wanted.next_power_of_two()
    );
    match limit {
        ..FEWEST_FILES => Check::fail(NAME, found, advice),
        limit if limit < wanted => Check::warn(NAME, found, advice),
        _ => Check::ok(NAME, found),
    }
}

fn memory_maps(instances: u32) -> Check {
    const NAME: &str = "memory maps";
    match map_shortage(instances) {
        None => Check::ok(NAME, format!("enough for {instances} live instances")),
        Some(shortage) => {
            let advice = shortage.hint.unwrap_or_default();
            Check::warn(NAME, shortage.detail, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn few_files_are_told_with_the_command_that_allows_more() {
        assert_eq!(open_files(None).status, Status::Ok);
        assert_eq!(open_files(Some(65_536)).status, Status::Ok);
        assert_eq!(open_files(Some(100)).status, Status::Fail);
        let few = open_files(Some(1024));
        assert_eq!(few.status, Status::Warn);
        assert!(few.advice.expect("advice").contains("ulimit -n 16384"));
    }

    #[test]
    fn memory_is_held_against_what_agents_may_take() {
        let of = |available: u64| memory(Some((available, "of the machine")), 9 << 30);
        assert_eq!(of(16 << 30).status, Status::Ok);
        assert_eq!(of(4 << 30).status, Status::Warn);
        assert_eq!(of(64 << 20).status, Status::Fail);
        assert_eq!(memory(None, 1).status, Status::Ok);
        assert_eq!(
            total_of("MemFree: 1 kB\nMemTotal:       16384 kB\n"),
            Some(16 << 20)
        );
        assert_eq!(total_of("MemTotal: much"), None);
    }
}
