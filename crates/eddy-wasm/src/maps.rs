//! How many of the kernel's memory maps instances take, and whether it allows as many
//! (`vm.max_map_count`). Beyond the limit an instance gets no memory, at some later moment; so it is
//! said at the start.

use eddy_types::{EddyError, ErrorCode};

/// Maps of one instance: two of its stack's slot, there from the start; what lies before the image
/// of its memory, the image, what lies after it, and the rest of the slot.
const PER_INSTANCE: u64 = 6;
/// Maps of everything else in the process: code, files, threads, heaps.
const ELSE: u64 = 2_000;
const LIMIT_FILE: &str = "/proc/sys/vm/max_map_count";

/// What the kernel allows a process; unknown where it does not say.
fn allowed() -> Option<u64> {
    std::fs::read_to_string(LIMIT_FILE)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// What is missing for so many live instances, if the kernel allows a process too few memory maps.
#[must_use]
pub fn shortage(instances: u32) -> Option<EddyError> {
    missing(instances, allowed())
}

fn missing(instances: u32, allowed: Option<u64>) -> Option<EddyError> {
    let allowed = allowed?;
    let needed = needed(instances);
    if needed <= allowed {
        return None;
    }
    let enough = allowed.saturating_sub(ELSE) / PER_INSTANCE;
    Some(
        EddyError::new(
            ErrorCode::Overloaded,
            format!(
                "{instances} live instances may need {needed} memory maps, and the system allows a \
                 process {allowed}: from about {enough} on, instances may fail to start"
            ),
        )
        .hint(remedy(instances)),
    )
}

/// What to do about it.
pub(crate) fn remedy(instances: u32) -> String {
    let needed = needed(instances);
    format!("Run `sysctl -w vm.max_map_count={needed}`, or allow fewer instances.")
}

fn needed(instances: u32) -> u64 {
    u64::from(instances) * PER_INSTANCE + ELSE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_names_both_numbers_and_the_remedy() {
        let shortage = missing(20_000, Some(65_530)).expect("too few");
        assert_eq!(shortage.code, ErrorCode::Overloaded);
        for part in ["122000", "65530", "10588"] {
            assert!(shortage.detail.contains(part), "{shortage:?}");
        }
        let hint = shortage.hint.expect("a remedy");
        assert!(hint.contains("vm.max_map_count=122000"), "{hint}");
    }

    #[test]
    fn enough_or_unknown_is_no_shortage() {
        assert_eq!(missing(10_500, Some(65_530)), None);
        assert_eq!(missing(u32::MAX, None), None);
    }
}
