//! What becomes of the rows: tables, verdicts, plots, and the page of results.

pub(crate) mod machine;
mod panels;
pub(crate) mod plot;
pub(crate) mod record;
pub(crate) mod table;
pub(crate) mod targets;

use crate::rows::{Figures, Metric};

/// The figures in a few words.
pub(crate) fn short(figures: &Figures) -> String {
    [
        Metric::P50,
        Metric::P99,
        Metric::Rate,
        Metric::Bytes,
        Metric::Number,
    ]
    .into_iter()
    .filter_map(|metric| Some(show(metric, figures.get(metric)?)))
    .collect::<Vec<_>>()
    .join(", ")
}

/// A value with its unit.
pub(crate) fn show(metric: Metric, value: f64) -> String {
    match metric {
        Metric::P50 | Metric::P99 => format!("{} us", digits(value)),
        Metric::Rate => format!("{}/s", digits(value)),
        Metric::Bytes if value >= 10e6 => format!("{:.0} MB", value / 1e6),
        Metric::Bytes => format!("{:.0} KiB", value / 1024.0),
        Metric::Number => digits(value),
    }
}

/// Three digits or more, thousands set apart.
pub(crate) fn digits(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let places = match value.abs() {
        tiny if tiny < 0.1 && tiny > 0.0 => 3,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        for (value, text) in [
            (0.001, "0.001"),
            (0.123, "0.12"),
            (9.5, "9.50"),
            (54.21, "54.2"),
            (999.9, "1,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(digits(value), text);
        }
    }
}
