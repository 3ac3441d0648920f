//! What the system says of this process.

/// Memory that this process holds for itself, without files and images that it maps, in bytes.
/// Unknown on systems other than Linux.
pub(crate) fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn what_is_written_to_counts() {
        let before = super::resident().expect("Linux says it");
        let bytes = vec![1_u8; 64 << 20];
        let after = super::resident().expect("Linux says it");
        assert!(after >= before + (32 << 20), "{before} {after}");
        drop(bytes);
    }
}
