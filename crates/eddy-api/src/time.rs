//! Moments as people and programs both read them.

use eddy_types::Timestamp;
use std::time::{Duration, SystemTime};

/// `2026-01-31T12:00:00.000Z`. A moment past the year 9999 is shown as the last one before it.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    const LAST: u64 = 253_402_300_799_999;
    let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.min(LAST));
    humantime::format_rfc3339_millis(moment).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_printable() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
