//! Which rows each plot sets side by side.

use crate::args::Suite;
use crate::rows::Metric;

/// Bars of one unit that are compared with each other.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) metric: Metric,
    pub(crate) rows: &'static [&'static str],
}

const fn panel(title: &'static str, metric: Metric, rows: &'static [&'static str]) -> Panel {
    Panel {
        title,
        metric,
        rows,
    }
}

/// The panels of each plot, from top to bottom.
pub(crate) const PANELS: &[(Suite, &[Panel])] = &[
    (
        Suite::Message,
        &[
            panel(
                "1 KiB there and back, one caller: median time, less is better",
                Metric::P50,
                &[
                    "tcp.c1",
                    "relay",
                    "link.echo.c1",
                    "http.echo.c1",
                    "workerd.relay",
                    "zmq.c1",
                    "nats.c1",
                ],
            ),
            panel(
                "1 KiB there and back, 32 callers: rate, more is better",
                Metric::Rate,
                &[
                    "tcp.c32",
                    "link.echo.c32",
                    "link.echo.c32x32",
                    "http.echo.c32",
                    "nats.c32",
                    "nats.c32x32",
                ],
            ),
        ],
    ),
    (
        Suite::Durable,
        &[
            panel(
                "Durable increment, one caller: median time, less is better",
                Metric::P50,
                &[
                    "flush",
                    "flush.over",
                    "link.inc.c1",
                    "http.inc.c1",
                    "redis.c1",
                    "workerd.inc.c1",
                    "restate.inc.c1",
                ],
            ),
            panel(
                "Durable increments of one counter, 32 callers: rate, more is better",
                Metric::Rate,
                &[
                    "group.32",
                    "link.inc.c32",
                    "http.inc.c32",
                    "redis.c32",
                    "redis.window",
                    "workerd.inc.c32",
                    "restate.inc.c32",
                ],
            ),
            panel(
                "Durable increments of 100 counters, 100 callers: rate, more is better",
                Metric::Rate,
                &[
                    "group.100",
                    "http.inc.c100",
                    "ts.inc.c100",
                    "workerd.inc.c100",
                    "restate.inc.c100",
                ],
            ),
        ],
    ),
    (
        Suite::Function,
        &[
            panel(
                "Hello over HTTP, one caller: median time, less is better",
                Metric::P50,
                &["hyper.c1", "hello.c1", "workerd.hello.c1", "wasmtime.c1"],
            ),
            panel(
                "Hello over HTTP, 32 callers: rate, more is better",
                Metric::Rate,
                &[
                    "hyper.c32",
                    "hello.c32",
                    "workerd.hello.c32",
                    "wasmtime.c32",
                ],
            ),
        ],
    ),
    (
        Suite::Cold,
        &[panel(
            "First message to an agent that is not live: median time, less is better",
            Metric::P50,
            &["cold.rust", "cold.ts", "workerd.new", "workerd.new.inc"],
        )],
    ),
    (
        Suite::Languages,
        &[
            panel(
                "Deploy of changed code: median time, less is better",
                Metric::P50,
                &["rust.redeploy", "typescript.redeploy", "python.redeploy"],
            ),
            panel(
                "First message to an agent that is not live: median time, less is better",
                Metric::P50,
                &["rust.cold", "typescript.cold", "python.cold"],
            ),
            panel(
                "Message to a live agent: median time, less is better",
                Metric::P50,
                &["rust.query", "typescript.query", "python.query"],
            ),
            panel(
                "Memory of a live agent, less is better",
                Metric::Bytes,
                &["rust.live", "typescript.live", "python.live"],
            ),
        ],
    ),
    (
        Suite::Scale,
        &[
            panel(
                "Memory of a live agent, less is better",
                Metric::Bytes,
                &["live.rust", "live.ts"],
            ),
            panel(
                "After a restart with all agents: median time, less is better",
                Metric::P50,
                &["scale.ready", "scale.random"],
            ),
        ],
    ),
    (
        Suite::Overload,
        &[panel(
            "Four times the peak offered: rate",
            Metric::Rate,
            &[
                "overload.peak",
                "overload.accepted",
                "overload.refused",
                "flood.peak",
                "flood.accepted",
                "flood.refused",
            ],
        )],
    ),
];
