//! `/metrics`: the node's counters and the server's own, gathered at each scrape. OpenMetrics for
//! those who ask for it, else the older Prometheus text that every tool reads.

use eddy_node::{Node, NodeStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Media type of the Prometheus text format.
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Media type of OpenMetrics.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels of [`NodeStats::turns`] and [`NodeStats::functions`].
const OUTCOMES: [&str; 3] = ["ok", "error", "fault"];

/// What the server counts itself.
#[derive(Debug, Default)]
pub(crate) struct HttpStats {
    /// Answers by the first digit of their status, from 1.
    answers: [AtomicU64; 5],
    pub(crate) in_flight: AtomicU64,
    pub(crate) connections: AtomicU64,
    /// Answers over native links: results, and errors.
    pub(crate) link_answers: [AtomicU64; 2],
    pub(crate) links: AtomicU64,
}

impl HttpStats {
    pub(crate) fn answered(&self, status: u16) {
        if let Some(class) = self.answers.get(usize::from(status / 100).wrapping_sub(1)) {
            class.fetch_add(1, Relaxed);
        }
    }
}

/// The registry that `/metrics` encodes.
pub(crate) fn registry(node: Arc<Node>, http: Arc<HttpStats>) -> Registry {
    let mut registry = Registry::with_prefix("eddy");
    registry.register_collector(Box::new(Gather { node, http }));
    registry
}

/// The registry as text, in OpenMetrics or in the older format.
pub(crate) fn text(registry: &Registry, openmetrics: bool) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(if openmetrics {
        text
    } else {
        prometheus_text(&text)
    })
}

/// OpenMetrics in the older format: a counter's HELP and TYPE name it with `_total`, and UNIT and
/// EOF do not exist.
fn prometheus_text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let head = line.strip_prefix("# HELP ").zip(lines.peek());
        let counter = head.and_then(|(help, type_line)| {
            let (name, help) = help.split_once(' ')?;
            let counter = **type_line == format!("# TYPE {name} counter");
            counter.then_some((name, help))
        });
        match counter {
            Some((name, help)) => {
                lines.next();
                let _ = writeln!(
                    text,
                    "# HELP {name}_total {help}\n# TYPE {name}_total counter"
                );
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

struct Gather {
    node: Arc<Node>,
    http: Arc<HttpStats>,
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gather")
    }
}

impl Collector for Gather {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        out.node(&self.node.stats())?;
        out.http(&self.http)
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn node(&mut self, stats: &NodeStats) -> fmt::Result {
        self.by(
            "turns",
            "Turns of agents that ended",
            "outcome",
            &OUTCOMES,
            &stats.turns,
        )?;
        let ended = &stats.functions;
        self.by(
            "functions",
            "Invocations of functions that ended",
            "outcome",
            &OUTCOMES,
            ended,
        )?;
        self.counter("journal_records", "Records committed", None, stats.records)?;
        let bytes = stats.record_bytes;
        self.counter(
            "journal_records",
            "Size of the records committed",
            Some(Unit::Bytes),
            bytes,
        )?;
        self.counter(
            "journal_flushes",
            "Flushes of the journal",
            None,
            stats.flushes,
        )?;
        self.counter("activations", "Agents activated", None, stats.activations)?;
        self.counter(
            "passivations",
            "Agents passivated",
            None,
            stats.passivations,
        )?;
        self.counter(
            "dead_letters",
            "Deliveries given up",
            None,
            stats.dead_letters,
        )?;
        self.gauge(
            "active_agents",
            "Agents with a live instance",
            None,
            stats.active_agents,
        )?;
        let memory = stats.active_memory;
        self.gauge(
            "active_agents_memory",
            "Memory of live agents",
            Some(Unit::Bytes),
            memory,
        )?;
        self.gauge(
            "mailbox_messages",
            "Messages that wait for an agent",
            None,
            stats.waiting,
        )?;
        self.gauge("outbox_sends", "Sends not yet settled", None, stats.outbox)?;
        self.turn_seconds(stats)
    }

    fn http(&mut self, http: &HttpStats) -> fmt::Result {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let answers = http.answers.each_ref().map(|class| class.load(Relaxed));
        self.by(
            "http_answers",
            "Requests answered, by status",
            "status",
            &classes,
            &answers,
        )?;
        let in_flight = http.in_flight.load(Relaxed);
        self.gauge("http_in_flight", "Requests being handled", None, in_flight)?;
        let connections = http.connections.load(Relaxed);
        self.gauge("http_connections", "Open connections", None, connections)?;
        let answers = http.link_answers.each_ref().map(|kind| kind.load(Relaxed));
        self.by(
            "link_answers",
            "Requests over native links that were answered",
            "outcome",
            &["ok", "error"],
            &answers,
        )?;
        let links = http.links.load(Relaxed);
        self.gauge("link_connections", "Open native links", None, links)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(
            self.0
                .encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?,
        )
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(
            self.0
                .encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?,
        )
    }

    /// A counter per value of one label.
    fn by(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        keys: &[&str],
        values: &[u64],
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (key, value) in keys.iter().zip(values) {
            ConstCounter::new(*value).encode(metric.encode_family(&[(label, *key)])?)?;
        }
        Ok(())
    }

    /// The node's counts are cumulative; the encoder adds them up itself.
    fn turn_seconds(&mut self, stats: &NodeStats) -> fmt::Result {
        let mut below = 0;
        let buckets: Vec<_> = stats
            .turn_seconds
            .iter()
            .map(|&(bound, upto)| {
                let within = upto.saturating_sub(below);
                below = upto.max(below);
                (bound, within)
            })
            .collect();
        let help = "Time an agent's turn held its instance";
        let unit = Some(&Unit::Seconds);
        let mut metric = self
            .0
            .encode_descriptor("turn", help, unit, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(stats.turn_seconds_sum, below, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Collector for Fixed {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let stats = NodeStats {
                turns: [3, 1, 1],
                record_bytes: 4096,
                turn_seconds: vec![(0.001, 2), (0.01, 4), (f64::INFINITY, 5)],
                turn_seconds_sum: 0.5,
                ..NodeStats::default()
            };
            let http = HttpStats::default();
            http.answered(200);
            http.answered(404);
            let mut out = Out(encoder);
            out.node(&stats)?;
            out.http(&http)
        }
    }

    fn fixed() -> Registry {
        let mut registry = Registry::with_prefix("eddy");
        registry.register_collector(Box::new(Fixed));
        registry
    }

    #[test]
    fn both_formats() {
        insta::assert_snapshot!("openmetrics", text(&fixed(), true).expect("it encodes"));
        insta::assert_snapshot!("prometheus", text(&fixed(), false).expect("it encodes"));
    }
}
