//! Tables: the rows, the ratios with their bounds, and the verdicts. In Markdown, which a terminal
//! shows well enough.

use super::targets::{Check, TARGETS, Verdict};
use super::{digits, show};
use crate::args::{Plan, Suite};
use crate::rows::{Metric, Row, Rows, Side};
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::{Value, json};

fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    table
}

/// Everything that was measured in a suite.
pub(crate) fn rows(rows: &Rows, suite: Suite) -> String {
    let header = [
        "work",
        "p50 us",
        "p99 us",
        "per second",
        "other",
        "flush us",
    ];
    let mut table = table(&header);
    for row in rows.0.iter().filter(|row| row.suite == suite) {
        table.add_row(cells(row));
    }
    table.to_string()
}

fn cells(row: &Row) -> Vec<String> {
    let cell = |metric| row.median(metric).map(digits).unwrap_or_default();
    let other = [Metric::Bytes, Metric::Number]
        .into_iter()
        .find_map(|metric| Some(show(metric, row.median(metric)?)));
    vec![
        title(row),
        cell(Metric::P50),
        cell(Metric::P99),
        cell(Metric::Rate),
        other.unwrap_or_default(),
        row.flush().map(digits).unwrap_or_default(),
    ]
}

fn title(row: &Row) -> String {
    let prefix = if row.side == Side::Floor {
        "floor: "
    } else {
        ""
    };
    format!("{prefix}{}", row.title)
}

/// The notes of a suite's rows, a line each.
pub(crate) fn notes(rows: &Rows, suite: Suite) -> Vec<String> {
    let own = rows.0.iter().filter(|row| row.suite == suite);
    own.flat_map(|row| {
        row.notes
            .iter()
            .map(|note| format!("{}: {note}", row.title))
    })
    .collect()
}

/// The ratios and bounds of a suite's targets.
pub(crate) fn checks(rows: &Rows, suite: Suite) -> String {
    let header = [
        "target",
        "row",
        "measure",
        "divided by",
        "value",
        "bound",
        "",
    ];
    let mut table = table(&header);
    for target in TARGETS.iter().filter(|target| target.suite == suite) {
        for check in target.checks {
            table.add_row(check_cells(rows, target.number, check));
        }
    }
    table.to_string()
}

fn check_cells(rows: &Rows, number: u8, check: &Check) -> Vec<String> {
    let name = |id: &str| rows.find(id).map_or_else(|| id.to_owned(), title);
    let value = check.value(rows).map(|value| match check.against {
        Some(_) => digits(value),
        None => show(check.metric, value),
    });
    vec![
        number.to_string(),
        name(check.row),
        measure(check.metric).to_owned(),
        check.against.map(name).unwrap_or_default(),
        value.unwrap_or_default(),
        check.bound_text(),
        check.verdict(rows).map_or("", Verdict::text).to_owned(),
    ]
}

fn measure(metric: Metric) -> &'static str {
    match metric {
        Metric::P50 => "p50",
        Metric::P99 => "p99",
        Metric::Rate => "rate",
        Metric::Bytes => "memory",
        Metric::Number => "number",
    }
}

/// One line for each target of the suites that ran.
pub(crate) fn verdicts(rows: &Rows, suites: &[Suite]) -> String {
    let mut table = table(&["", "target", "verdict"]);
    for target in TARGETS.iter().filter(|t| suites.contains(&t.suite)) {
        let number = target.number.to_string();
        let verdict = target.verdict(rows).text();
        table.add_row([number.as_str(), target.text, verdict]);
    }
    table.to_string()
}

/// All of it for the terminal.
pub(crate) fn print(rows: &Rows, plan: &Plan) {
    for suite in plan.suites.iter().copied() {
        println!("\n{}", suite.name());
        println!("{}", self::rows(rows, suite));
        for note in notes(rows, suite) {
            println!("  {note}");
        }
        println!("{}", checks(rows, suite));
    }
    println!("\n{}", verdicts(rows, &plan.suites));
    println!(
        "medians of {} rounds, {} s a row; ratios are taken within each round",
        plan.rounds,
        plan.time.as_secs()
    );
}

/// All of it for programs: a line for each row, then one for each target.
pub(crate) fn print_json(rows: &Rows, plan: &Plan) {
    for row in &rows.0 {
        println!("{}", row_json(row));
    }
    for target in TARGETS.iter().filter(|t| plan.suites.contains(&t.suite)) {
        let checks: Vec<Value> = target.checks.iter().map(|c| check_json(rows, c)).collect();
        let verdict = target.verdict(rows).text();
        println!(
            "{}",
            json!({ "target": target.number, "verdict": verdict, "checks": checks })
        );
    }
}

fn row_json(row: &Row) -> Value {
    let rounds: Vec<Value> = row
        .samples
        .iter()
        .map(|sample| {
            json!({
                "round": sample.round, "flush_us": sample.flush_us,
                "p50_us": sample.figures.p50_us, "p99_us": sample.figures.p99_us,
                "per_second": sample.figures.per_second, "bytes": sample.figures.bytes,
                "number": sample.figures.number,
            })
        })
        .collect();
    json!({
        "row": row.id, "suite": row.suite.name(), "title": title(row), "notes": row.notes,
        "p50_us": row.median(Metric::P50), "p99_us": row.median(Metric::P99),
        "per_second": row.median(Metric::Rate), "bytes": row.median(Metric::Bytes),
        "number": row.median(Metric::Number), "rounds": rounds,
    })
}

fn check_json(rows: &Rows, check: &Check) -> Value {
    json!({
        "row": check.row, "measure": measure(check.metric), "against": check.against,
        "value": check.value(rows), "bound": check.bound_text(),
        "verdict": check.verdict(rows).map(Verdict::text),
    })
}
