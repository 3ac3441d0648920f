//! A set of numbers of which most neighbours are there: kept as ranges.

use std::collections::BTreeMap;

/// A set of numbers, as the ranges that they make: what it takes grows with the gaps between them, not
/// with how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Whether the number is there.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let from = self.0.range(..=number).next_back();
        from.is_some_and(|(_, last)| *last >= number)
    }

    /// Adds the numbers from `first` to `last`, both included. Nothing when `last` is less.
    pub fn insert(&mut self, mut first: u64, mut last: u64) {
        if last < first {
            return;
        }
        // One that ends within the new one or just before it, and those that begin there.
        if let Some((start, end)) = self.0.range(..=first).next_back()
            && end.saturating_add(1) >= first
        {
            (first, last) = (*start, last.max(*end));
        }
        while let Some((start, end)) = self.0.range(first..=last.saturating_add(1)).next() {
            let (start, end) = (*start, *end);
            self.0.remove(&start);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }

    /// Takes out what lies below `floor`, and what follows from there without a gap. Answers with the
    /// lowest number from `floor` on that is not there.
    pub(crate) fn advance(&mut self, mut floor: u64) -> u64 {
        while let Some(range) = self.0.first_entry().filter(|range| *range.key() <= floor) {
            floor = floor.max(range.remove().saturating_add(1));
        }
        floor
    }

    /// The ranges, each with its first and its last number, lowest first. No two of them touch.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }
}

impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(ranges: I) -> Self {
        let mut set = Self::default();
        for (first, last) in ranges {
            set.insert(first, last);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Whatever is added and taken out, the same numbers are there, in as few ranges as can be.
        #[test]
        fn they_are_a_set(
            steps in proptest::collection::vec((any::<bool>(), 1u64..60, 0u64..4), 0..60),
        ) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (add, number, more) in steps {
                if add {
                    ranges.insert(number, number + more);
                    set.extend(number..=number + more);
                } else {
                    let floor = (number..).find(|number| !set.contains(number)).unwrap();
                    set = set.split_off(&floor);
                    prop_assert_eq!(ranges.advance(number), floor);
                }
                prop_assert!((0..70).all(|number| ranges.contains(number) == set.contains(&number)));
                let numbers = ranges.iter().flat_map(|(first, last)| first..=last);
                prop_assert!(numbers.eq(set.iter().copied()));
                let apart = ranges.iter().zip(ranges.iter().skip(1));
                prop_assert!(apart.into_iter().all(|((_, last), (first, _))| last + 1 < first));
            }
        }
    }

    #[test]
    fn the_last_number_of_all_is_one_too() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX);
        ranges.insert(3, u64::MAX - 1);
        assert!(ranges.iter().eq([(3, u64::MAX)]));
        ranges.insert(5, 4);
        assert!(ranges.contains(u64::MAX) && !ranges.contains(2));
    }
}
