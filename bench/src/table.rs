//! Rows of a run: medians over the rounds, and ratios to a floor of the same run.

use crate::Plan;
use crate::load::Measured;
use comfy_table::Table;
use serde_json::json;

#[derive(Default)]
struct Row {
    name: String,
    floor: Option<String>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    per_second: Vec<f64>,
    bytes: Vec<f64>,
}

/// All rows, in the order of their first appearance.
#[derive(Default)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    fn row(&mut self, name: &str) -> &mut Row {
        let at = self
            .0
            .iter()
            .position(|row| row.name == name)
            .unwrap_or_else(|| {
                self.0.push(Row {
                    name: name.to_owned(),
                    ..Row::default()
                });
                self.0.len() - 1
            });
        &mut self.0[at]
    }

    pub(crate) fn add(&mut self, name: &str, floor: Option<&str>, measured: Measured) {
        eprintln!(
            "  {name}: {:.0} us, {:.0}/s",
            measured.p50_us, measured.per_second
        );
        let row = self.row(name);
        row.floor = floor.map(str::to_owned);
        row.p50_us.push(measured.p50_us);
        row.p99_us.push(measured.p99_us);
        row.per_second.push(measured.per_second);
    }

    pub(crate) fn add_memory(&mut self, name: &str, bytes: f64) {
        eprintln!("  {name}: {:.0} KiB", bytes / 1024.0);
        self.row(name).bytes.push(bytes);
    }

    pub(crate) fn print(&self, plan: Plan) {
        if plan.json {
            for row in &self.0 {
                println!("{}", row.json(self));
            }
            return;
        }
        let mut table = Table::new();
        table.set_header([
            "work",
            "p50 us",
            "p99 us",
            "per second",
            "p50 / floor",
            "rate / floor",
        ]);
        for row in &self.0 {
            table.add_row(row.cells(self));
        }
        println!("{table}");
        println!(
            "medians of {} rounds, {} s a row",
            plan.rounds,
            plan.time.as_secs()
        );
    }
}

impl Row {
    fn ratios(&self, all: &Rows) -> Option<(f64, f64)> {
        let floor = all
            .0
            .iter()
            .find(|row| Some(&row.name) == self.floor.as_ref())?;
        let p50 = median(&self.p50_us) / median(&floor.p50_us);
        Some((p50, median(&self.per_second) / median(&floor.per_second)))
    }

    fn cells(&self, all: &Rows) -> Vec<String> {
        if !self.bytes.is_empty() {
            let memory = format!("{:.0} KiB", median(&self.bytes) / 1024.0);
            return vec![self.name.clone(), memory];
        }
        let (p50, rate) = match self.ratios(all) {
            Some((p50, rate)) => (format!("{p50:.2}"), format!("{rate:.2}")),
            None => (String::new(), String::new()),
        };
        let number = |values: &[f64]| format!("{:.0}", median(values));
        let [a, b, c] = [&self.p50_us, &self.p99_us, &self.per_second].map(|v| number(v));
        vec![self.name.clone(), a, b, c, p50, rate]
    }

    fn json(&self, all: &Rows) -> serde_json::Value {
        let (p50_ratio, rate_ratio) = self.ratios(all).unzip();
        json!({
            "work": self.name, "p50_us": median(&self.p50_us), "p99_us": median(&self.p99_us),
            "per_second": median(&self.per_second), "bytes": median(&self.bytes),
            "p50_to_floor": p50_ratio, "rate_to_floor": rate_ratio,
        })
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
