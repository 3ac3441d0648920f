//! A rate limit: the generic cell rate algorithm (ITU-T I.371), a leaky bucket that needs one number.

use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// What was taken of a rate, with a second's worth of burst. Times are nanoseconds from any fixed
/// moment, never going back.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// When the next request would be due, if all came evenly.
    due: u64,
}

impl Meter {
    /// Takes one of `rate` a second; or how long until there is one again.
    pub(super) fn take(&mut self, now: u64, rate: u32) -> Result<(), Duration> {
        let apart = SECOND / u64::from(rate.max(1));
        let due = self.due.max(now);
        let ahead = due - now;
        // The burst holds a second's worth, this one included.
        if ahead + apart > SECOND {
            return Err(Duration::from_nanos(ahead + apart - SECOND));
        }
        self.due = due + apart;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_of_a_second_and_then_the_rate() {
        let mut meter = Meter::default();
        let now = 5 * SECOND;
        for _ in 0..10 {
            assert_eq!(meter.take(now, 10), Ok(()));
        }
        let wait = meter.take(now, 10).expect_err("the burst is used up");
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(meter.take(now + SECOND / 10, 10), Ok(()));
        assert!(meter.take(now + SECOND / 10, 10).is_err());
    }

    proptest! {
        /// In any stretch of time no more goes through than its length and one burst allow.
        #[test]
        fn never_more_than_the_rate(rate in 1u32..2000, gaps in proptest::collection::vec(0u64..SECOND / 50, 1..400)) {
            let mut meter = Meter::default();
            let (mut now, mut taken) = (0, 0u64);
            for gap in gaps {
                now += gap;
                taken += u64::from(meter.take(now, rate).is_ok());
            }
            let most = (now + SECOND) * u64::from(rate) / SECOND + 1;
            prop_assert!(taken <= most, "{taken} in {now} ns at {rate}");
        }
    }
}
