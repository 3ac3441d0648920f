//! What Eddy should reach, as ratios within one run wherever that is possible, and whether it does.

use super::show;
use crate::args::Suite;
use crate::rows::{Metric, Rows};
use Metric::{Bytes, Number, P50, P99, Rate};

/// A bound on a figure or a ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Worth knowing, not a target.
    None,
}
use Bound::{AtLeast, AtMost};

/// One figure or ratio that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) row: &'static str,
    pub(crate) metric: Metric,
    /// The row that it is divided by; without one the figure itself counts.
    pub(crate) against: Option<&'static str>,
    pub(crate) bound: Bound,
}

/// What should hold, in words, and the checks that say whether it does.
pub(crate) struct Target {
    pub(crate) number: u8,
    pub(crate) suite: Suite,
    pub(crate) text: &'static str,
    pub(crate) checks: &'static [Check],
}

const fn figure(row: &'static str, metric: Metric, bound: Bound) -> Check {
    Check {
        row,
        metric,
        against: None,
        bound,
    }
}

const fn ratio(row: &'static str, metric: Metric, against: &'static str, bound: Bound) -> Check {
    Check {
        row,
        metric,
        against: Some(against),
        bound,
    }
}

/// The outcome of a check or of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    NotMet,
    /// A row is missing, for instance because the peers were left out.
    NotMeasured,
}

impl Verdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "NOT met",
            Self::NotMeasured => "not measured",
        }
    }
}

impl Check {
    pub(crate) fn value(&self, rows: &Rows) -> Option<f64> {
        match self.against {
            Some(against) => rows.ratio(self.row, against, self.metric),
            None => rows.find(self.row)?.median(self.metric),
        }
    }

    /// None when there is no bound.
    pub(crate) fn verdict(&self, rows: &Rows) -> Option<Verdict> {
        let good = |value: f64| match self.bound {
            AtMost(most) => value <= most,
            AtLeast(least) => value >= least,
            Bound::None => true,
        };
        match (self.bound, self.value(rows)) {
            (Bound::None, _) => None,
            (_, None) => Some(Verdict::NotMeasured),
            (_, Some(value)) if good(value) => Some(Verdict::Met),
            _ => Some(Verdict::NotMet),
        }
    }

    /// The bound in words.
    pub(crate) fn bound_text(&self) -> String {
        let text = |value| match self.against {
            Some(_) => super::digits(value),
            None => show(self.metric, value),
        };
        match self.bound {
            AtMost(most) => format!("<= {}", text(most)),
            AtLeast(least) => format!(">= {}", text(least)),
            Bound::None => String::new(),
        }
    }
}

impl Target {
    /// Met when every check is; not met when one is not.
    pub(crate) fn verdict(&self, rows: &Rows) -> Verdict {
        let all: Vec<_> = self.checks.iter().filter_map(|c| c.verdict(rows)).collect();
        if all.contains(&Verdict::NotMet) {
            Verdict::NotMet
        } else if all.contains(&Verdict::NotMeasured) {
            Verdict::NotMeasured
        } else {
            Verdict::Met
        }
    }
}

const THIRD: f64 = 1.0 / 3.0;

pub(crate) const TARGETS: &[Target] = &[
    Target {
        number: 1,
        suite: Suite::Message,
        text: "agent calls agent, 1 KiB, same node: p50 <= 10 us and <= 1/5 of workerd's call of a Durable Object",
        checks: &[
            figure("relay", P50, AtMost(10.0)),
            ratio("relay", P50, "workerd.relay", AtMost(0.2)),
        ],
    },
    Target {
        number: 2,
        suite: Suite::Message,
        text: "1 KiB echo over the native link, c1: p50 <= 2x raw TCP, below pyzmq and NATS",
        checks: &[
            ratio("link.echo.c1", P50, "tcp.c1", AtMost(2.0)),
            ratio("link.echo.c1", P50, "zmq.c1", AtMost(1.0)),
            ratio("link.echo.c1", P50, "nats.c1", AtMost(1.0)),
            ratio("http.echo.c1", P50, "tcp.c1", Bound::None),
        ],
    },
    Target {
        number: 3,
        suite: Suite::Message,
        text: "the same with 32 callers on one connection: rate >= 1/3 of raw TCP with 32 connections; above NATS with 32 callers, on as many connections too",
        checks: &[
            ratio("link.echo.c32", Rate, "tcp.c32", AtLeast(THIRD)),
            ratio("link.echo.c32", Rate, "nats.c32x32", AtLeast(1.0)),
            ratio("link.echo.c32x32", Rate, "nats.c32x32", AtLeast(1.0)),
            // One loop that keeps 32 requests in flight, without callers to wake.
            ratio("link.echo.c32", Rate, "nats.c32", Bound::None),
            ratio("link.echo.c32x32", Rate, "tcp.c32", Bound::None),
            ratio("http.echo.c32", Rate, "tcp.c32", Bound::None),
        ],
    },
    Target {
        number: 4,
        suite: Suite::Durable,
        text: "durable increment over the link, 1 agent, c1: p50 <= 1.6x append + fdatasync",
        checks: &[
            ratio("link.inc.c1", P50, "flush", AtMost(1.6)),
            ratio("link.inc.c1", P50, "flush.over", Bound::None),
            ratio("link.inc.c1", P50, "redis.c1", Bound::None),
            ratio("link.inc.c1", P50, "workerd.inc.c1", Bound::None),
            ratio("link.inc.c1", P50, "restate.inc.c1", Bound::None),
        ],
    },
    Target {
        number: 5,
        suite: Suite::Durable,
        text: "the same, 32 callers: >= 25,000/s and >= 1/3 of Redis INCR with 32 connections",
        checks: &[
            figure("link.inc.c32", Rate, AtLeast(25_000.0)),
            ratio("link.inc.c32", Rate, "redis.c32", AtLeast(THIRD)),
            ratio("link.inc.c32", Rate, "redis.window", Bound::None),
            ratio("link.inc.c32", Rate, "group.32", Bound::None),
        ],
    },
    Target {
        number: 6,
        suite: Suite::Durable,
        text: "durable increment over HTTP, 100 agents, c100: >= 10x workerd and >= 10x Restate",
        checks: &[
            ratio("http.inc.c100", Rate, "workerd.inc.c100", AtLeast(10.0)),
            ratio("http.inc.c100", Rate, "restate.inc.c100", AtLeast(10.0)),
            ratio("http.inc.c100", Rate, "group.100", Bound::None),
        ],
    },
    Target {
        number: 7,
        suite: Suite::Function,
        text: "hello function over HTTP, fresh instance: c1 p50 <= 2x bare hyper; c32 >= 1.5x workerd and >= 1.3x wasmtime serve",
        checks: &[
            ratio("hello.c1", P50, "hyper.c1", AtMost(2.0)),
            ratio("hello.c32", Rate, "workerd.hello.c32", AtLeast(1.5)),
            ratio("hello.c32", Rate, "wasmtime.c32", AtLeast(1.3)),
            ratio("hello.c32", Rate, "hyper.c32", Bound::None),
            ratio("hello.c1", P50, "workerd.hello.c1", Bound::None),
            ratio("hello.c1", P50, "wasmtime.c1", Bound::None),
        ],
    },
    Target {
        number: 8,
        suite: Suite::Durable,
        text: "durable increment in TypeScript over HTTP, 100 agents, c100: >= 5x workerd",
        checks: &[
            ratio("ts.inc.c100", Rate, "workerd.inc.c100", AtLeast(5.0)),
            ratio("ts.inc.c100", Rate, "restate.inc.c100", Bound::None),
        ],
    },
    Target {
        number: 9,
        suite: Suite::Cold,
        text: "cold activation over the link, 10 keys: p50 <= 250 us in Rust, <= 800 us in TypeScript",
        checks: &[
            figure("cold.rust", P50, AtMost(250.0)),
            figure("cold.ts", P50, AtMost(800.0)),
            ratio("cold.rust", P50, "workerd.new", Bound::None),
            ratio("cold.ts", P50, "workerd.new", Bound::None),
        ],
    },
    Target {
        number: 10,
        suite: Suite::Scale,
        text: "1,000,000 agents with state: <= 300 MB when all are passivated, ready <= 1 s after a restart, any of them answers within 500 us",
        checks: &[
            figure("scale.passive", Bytes, AtMost(300e6)),
            figure("scale.ready", P50, AtMost(1e6)),
            figure("scale.random", P50, AtMost(500.0)),
        ],
    },
    Target {
        number: 11,
        suite: Suite::Scale,
        text: "10,000 live agents: <= 64 KiB each in Rust, <= 400 KiB in TypeScript",
        checks: &[
            figure("live.rust", Bytes, AtMost(64.0 * 1024.0)),
            figure("live.ts", Bytes, AtMost(400.0 * 1024.0)),
        ],
    },
    Target {
        number: 12,
        suite: Suite::Overload,
        text: "4x the peak of turns that compute for 5 ms offered: goodput >= 90 % of the peak, p99 of what is accepted within its deadline of 1 s, the rest refused at once (p99 <= 100 ms), memory flat",
        checks: &[
            ratio("overload.accepted", Rate, "overload.peak", AtLeast(0.9)),
            figure("overload.accepted", P99, AtMost(1e6)),
            figure("overload.refused", P99, AtMost(100e3)),
            figure("overload.failed", Number, AtMost(0.001)),
            figure("overload.memory", Number, AtMost(1.1)),
            ratio("flood.accepted", Rate, "flood.peak", Bound::None),
        ],
    },
    Target {
        number: 13,
        suite: Suite::Languages,
        text: "the same counter in three languages: a deploy of changed TypeScript <= 1 s; Python beside it",
        checks: &[
            figure("typescript.redeploy", P50, AtMost(1e6)),
            ratio("python.redeploy", P50, "typescript.redeploy", Bound::None),
            ratio("python.cold", P50, "typescript.cold", Bound::None),
            ratio("python.query", P50, "typescript.query", Bound::None),
            ratio("python.increment", P50, "typescript.increment", Bound::None),
            ratio("python.hello", P50, "typescript.hello", Bound::None),
            ratio("python.live", Bytes, "typescript.live", Bound::None),
        ],
    },
    Target {
        number: 14,
        suite: Suite::Neighbours,
        text: "a tenant's durable increment beside another tenant's attacks (guests that compute, take memory or log without end, a flood of requests): median <= 10 times that alone",
        checks: &[
            ratio("neighbour.spin", P50, "neighbour.alone", AtMost(10.0)),
            ratio("neighbour.spin", P99, "neighbour.alone", Bound::None),
            ratio("neighbour.memory", P50, "neighbour.alone", AtMost(10.0)),
            ratio("neighbour.memory", P99, "neighbour.alone", Bound::None),
            ratio("neighbour.log", P50, "neighbour.alone", AtMost(10.0)),
            ratio("neighbour.log", P99, "neighbour.alone", Bound::None),
            ratio("neighbour.flood", P50, "neighbour.alone", AtMost(10.0)),
            ratio("neighbour.flood", P99, "neighbour.alone", Bound::None),
        ],
    },
];
