//! The page of results, bench/RESULTS.md, and the plots beside the documentation.

use super::{machine, plot, table};
use crate::args::Suite;
use crate::bench::Bench;
use crate::node;
use crate::peers::Peer;
use anyhow::Result;
use std::fmt::Write as _;
use std::time::SystemTime;

/// From here on the page is kept as it is.
const EARLIER: &str = "## Earlier";

/// Writes the page and one plot for each suite that ran.
pub(crate) fn write(bench: &Bench) -> Result<()> {
    // Before the plots change the tree.
    let revision = machine::revision();
    let plots = node::project().join("docs/bench");
    std::fs::create_dir_all(&plots)?;
    for suite in bench.plan.suites.iter().copied() {
        let path = plots.join(format!("{}.svg", suite.name()));
        if plot::draw(&bench.rows, suite, &path)? {
            eprintln!("wrote {}", path.display());
        }
    }
    let path = node::project().join("bench/RESULTS.md");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let earlier = before.find(EARLIER).map_or("", |at| &before[at..]);
    std::fs::write(&path, format!("{}\n{earlier}", page(bench, &revision)?))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

fn page(bench: &Bench, revision: &str) -> Result<String> {
    let plan = &bench.plan;
    let mut out = String::from("# Results\n\n");
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let day = now.split('T').next().unwrap_or_default();
    let names: Vec<&str> = plan.suites.iter().map(|suite| suite.name()).collect();
    writeln!(out, "## {day}\n")?;
    writeln!(
        out,
        "Written by `cargo xtask bench {}{} --rounds {} --seconds {} --record` at {}.\n",
        names.join(" "),
        if plan.peers { " --peers" } else { "" },
        plan.rounds,
        plan.time.as_secs(),
        revision,
    )?;
    writeln!(out, "- Machine: {}.", machine::describe())?;
    out.push_str(METHOD);
    peers(&mut out, bench)?;
    writeln!(out, "\n### Targets\n")?;
    let verdicts = table::verdicts(&bench.rows, &plan.suites);
    writeln!(out, "{verdicts}")?;
    for suite in plan.suites.iter().copied() {
        section(&mut out, bench, suite)?;
    }
    Ok(out)
}

const METHOD: &str = "\
- In each round every floor, Eddy and every peer is measured in turn, alone; client and server share the \
cores. Values are medians over the rounds; ratios are taken within a round.
- `flush us` is the median of 4 KiB appends with fdatasync just before the row: it says how the disk was.
- `cN` is N callers with one request in flight each. All durable rows of Eddy are `synced`. HTTP is \
HTTP/1.1 with keep-alive and the same client for all sides.
- The append with its flush and the increment of one caller take turns within a round; the best of the \
appends counts, also one without a node beside it.
- Raw TCP is the better of blocking threads and tokio, in two processes.
";

fn peers(out: &mut String, bench: &Bench) -> Result<()> {
    if !bench.plan.peers {
        writeln!(out, "- Peers were left out.")?;
        return Ok(());
    }
    for peer in Peer::ALL {
        match bench.peers.get(peer) {
            Ok(installed) => writeln!(
                out,
                "- {} {}: {}.",
                peer.name(),
                installed.version,
                peer.setup()
            )?,
            Err(error) => writeln!(out, "- {}: {error:#}.", peer.name())?,
        }
    }
    Ok(())
}

fn section(out: &mut String, bench: &Bench, suite: Suite) -> Result<()> {
    let name = suite.name();
    writeln!(out, "\n### {name}\n")?;
    writeln!(out, "![{name}](../docs/bench/{name}.svg)\n")?;
    writeln!(out, "{}", table::rows(&bench.rows, suite))?;
    let notes = table::notes(&bench.rows, suite);
    if !notes.is_empty() {
        writeln!(out)?;
    }
    for note in notes {
        writeln!(out, "- {note}")?;
    }
    writeln!(out, "\n{}", table::checks(&bench.rows, suite))?;
    Ok(())
}
