//! The rows of a run: what was measured in each round, with the flush probe beside it.

use crate::args::Suite;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::time::Duration;

/// Whose figures a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The machine itself.
    Floor,
    Eddy,
    Peer,
}

/// What can be read off a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Microseconds.
    P50,
    /// Microseconds.
    P99,
    /// Requests per second.
    Rate,
    /// Bytes of memory.
    Bytes,
    /// A plain number.
    Number,
}

/// What one round of a row gave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) per_second: Option<f64>,
    pub(crate) bytes: Option<f64>,
    pub(crate) number: Option<f64>,
}

impl Figures {
    /// Of single requests, one after the other. Without any there is nothing to say: an error.
    pub(crate) fn of(mut times: Vec<Duration>) -> Result<Self> {
        let sum: Duration = times.iter().sum();
        times.sort_unstable();
        let last = times.len().checked_sub(1).context("nothing was measured")?;
        let at = |q: f64| times[(last as f64 * q).round() as usize].as_secs_f64() * 1e6;
        Ok(Self {
            p50_us: Some(at(0.5)),
            p99_us: Some(at(0.99)),
            per_second: Some(times.len() as f64 / sum.as_secs_f64()),
            ..Self::default()
        })
    }

    pub(crate) fn time(time: Duration) -> Self {
        Self {
            p50_us: Some(time.as_secs_f64() * 1e6),
            ..Self::default()
        }
    }

    pub(crate) fn memory(bytes: f64) -> Self {
        Self {
            bytes: Some(bytes),
            ..Self::default()
        }
    }

    pub(crate) fn number(number: f64) -> Self {
        Self {
            number: Some(number),
            ..Self::default()
        }
    }

    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::P50 => self.p50_us,
            Metric::P99 => self.p99_us,
            Metric::Rate => self.per_second,
            Metric::Bytes => self.bytes,
            Metric::Number => self.number,
        }
    }
}

/// One round of a row.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) round: usize,
    pub(crate) figures: Figures,
    /// The median of the flush probe just before, in microseconds.
    pub(crate) flush_us: f64,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) suite: Suite,
    pub(crate) side: Side,
    /// What the checks call it.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) samples: Vec<Sample>,
    /// What a reader has to know, or why there is no figure.
    pub(crate) notes: Vec<String>,
}

impl Row {
    /// The median over the rounds.
    pub(crate) fn median(&self, metric: Metric) -> Option<f64> {
        median(self.samples.iter().filter_map(|s| s.figures.get(metric)))
    }

    /// What a round gave: one value, or several when it was measured in slices.
    fn values(&self, round: usize, metric: Metric) -> impl Iterator<Item = f64> {
        let samples = self.samples.iter().filter(move |s| s.round == round);
        samples.filter_map(move |s| s.figures.get(metric))
    }

    /// The median flush probe beside it.
    pub(crate) fn flush(&self) -> Option<f64> {
        median(self.samples.iter().map(|sample| sample.flush_us))
    }
}

/// All rows, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Rows(pub(crate) Vec<Row>);

impl Rows {
    pub(crate) fn find(&self, id: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.id == id)
    }

    /// The row of this id, made when it is new.
    pub(crate) fn row(
        &mut self,
        suite: Suite,
        side: Side,
        id: &'static str,
        title: &str,
    ) -> &mut Row {
        let at = self
            .0
            .iter()
            .position(|row| row.id == id)
            .unwrap_or_else(|| {
                self.0.push(Row {
                    suite,
                    side,
                    id,
                    title: title.to_owned(),
                    samples: Vec::new(),
                    notes: Vec::new(),
                });
                self.0.len() - 1
            });
        &mut self.0[at]
    }

    /// The ratio of two rows: within each round, then the median over the rounds. Of a row that was
    /// measured several times in a round its median counts, and its best where it is what others are
    /// held against.
    pub(crate) fn ratio(&self, id: &str, against: &str, metric: Metric) -> Option<f64> {
        let (row, against) = (self.find(id)?, self.find(against)?);
        let rounds: BTreeSet<usize> = row.samples.iter().map(|sample| sample.round).collect();
        median(rounds.into_iter().filter_map(|round| {
            let value = median(row.values(round, metric))?;
            let base = best(against.values(round, metric), metric).filter(|base| *base > 0.0)?;
            Some(value / base)
        }))
    }
}

/// The best of some values: the highest rate, the least of everything else.
fn best(values: impl Iterator<Item = f64>, metric: Metric) -> Option<f64> {
    match metric {
        Metric::Rate => values.max_by(f64::total_cmp),
        _ => values.min_by(f64::total_cmp),
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some((sorted[low] + sorted[high]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_each_round() {
        let mut rows = Rows::default();
        for (round, eddy, floor) in [(1, 10.0, 5.0), (2, 100.0, 10.0), (3, 30.0, 10.0)] {
            for (id, value) in [("eddy", eddy), ("floor", floor)] {
                rows.row(Suite::Message, Side::Floor, id, id)
                    .samples
                    .push(Sample {
                        round,
                        figures: Figures::number(value),
                        flush_us: 1.0,
                    });
            }
        }
        assert_eq!(rows.ratio("eddy", "floor", Metric::Number), Some(3.0));
        assert_eq!(rows.ratio("eddy", "nobody", Metric::Number), None);
    }

    #[test]
    fn the_best_slice_of_a_floor_counts() {
        let mut rows = Rows::default();
        for (id, values) in [("eddy", &[6.0, 30.0, 8.0][..]), ("floor", &[9.0, 4.0])] {
            let row = rows.row(Suite::Durable, Side::Floor, id, id);
            row.samples.extend(values.iter().map(|us| Sample {
                round: 1,
                figures: Figures {
                    p50_us: Some(*us),
                    per_second: Some(*us),
                    ..Figures::default()
                },
                flush_us: 1.0,
            }));
        }
        assert_eq!(rows.ratio("eddy", "floor", Metric::P50), Some(2.0));
        assert_eq!(rows.ratio("floor", "eddy", Metric::Rate), Some(6.5 / 30.0));
    }

    #[test]
    fn the_median_of_two_lies_between() {
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median([4.0, 1.0, 9.0].into_iter()), Some(4.0));
        assert_eq!(median(std::iter::empty()), None);
    }
}
