//! The same counter in each language, written as a user writes it and deployed with `eddy deploy`: how long a deploy
//! takes, a first message, the next one, and what a live agent costs.

use super::{calls, cold, posts, scale};
use crate::bench::Bench;
use crate::link::{Link, Target};
use crate::node::{self, Node};
use crate::process;
use crate::rows::{Figures, Side};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Deploys of changed code that one figure comes from.
const REDEPLOYS: usize = 5;
/// Agents that live side by side when memory is measured.
const LIVE: usize = 1_000;
/// What the sources hold in the place of their version.
const VERSION: &str = "424242";

/// A language, and what its rows are called.
struct Language {
    name: &'static str,
    folder: &'static str,
    /// The file that holds the version.
    source: &'static str,
    /// What the manifest names.
    path: &'static str,
    rows: Ids,
}

struct Ids {
    first: &'static str,
    again: &'static str,
    cold: &'static str,
    query: &'static str,
    increment: &'static str,
    hello: &'static str,
    live: &'static str,
}

macro_rules! ids {
    ($language:literal) => {
        Ids {
            first: concat!($language, ".deploy"),
            again: concat!($language, ".redeploy"),
            cold: concat!($language, ".cold"),
            query: concat!($language, ".query"),
            increment: concat!($language, ".increment"),
            hello: concat!($language, ".hello"),
            live: concat!($language, ".live"),
        }
    };
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "Rust",
        folder: "rust",
        source: "src/lib.rs",
        path: "Cargo.toml",
        rows: ids!("rust"),
    },
    Language {
        name: "TypeScript",
        folder: "typescript",
        source: "main.ts",
        path: "main.ts",
        rows: ids!("typescript"),
    },
    Language {
        name: "Python",
        folder: "python",
        source: "main.py",
        path: "main.py",
        rows: ids!("python"),
    },
];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    for language in &LANGUAGES {
        one(bench, language).await?;
    }
    Ok(())
}

async fn one(bench: &mut Bench, language: &Language) -> Result<()> {
    let (name, ids) = (language.name, &language.rows);
    let project = Project::new(language)?;
    // What a toolchain builds once on a machine is there: the crates of the SDK, the Python runtime.
    project.write(0, "500ms")?;
    project.deploy(&Node::empty()?)?;

    let node = Node::empty()?;
    let at = node.address();
    let title = format!("{name}: first deploy on a node");
    let work = async { Ok(Figures::time(project.deploy(&node)?)) };
    bench.row(Side::Eddy, ids.first, &title, work).await;
    let title = format!("{name}: deploy of changed code");
    let work = async { project.deploy_changed(&node) };
    bench.row(Side::Eddy, ids.again, &title, work).await;

    let link = Link::connect(at).await?;
    cold::prepare(&link, "counter").await?;
    node.all_passivated().await?;
    let title = format!("{name}: cold activation, {} keys, link, c1", cold::KEYS);
    let work = cold::wake(&link, "counter");
    bench.row(Side::Eddy, ids.cold, &title, work).await;

    let time = bench.plan.time;
    for (id, what, method) in [
        (ids.query, "warm query", "value"),
        (ids.increment, "warm durable increment", "increment"),
    ] {
        let title = format!("{name}: {what}, link, c1");
        let work = calls(at, 1, 1, time, Target::new("counter", "one", method), "{}");
        bench.row(Side::Eddy, id, &title, work).await;
    }
    let title = format!("{name}: hello function, fresh instance, HTTP, c1");
    let work = posts(at, 1, time, |_| "/v1/functions/hello".to_owned(), "");
    bench.row(Side::Eddy, ids.hello, &title, work).await;

    project.write(REDEPLOYS + 1, "1h")?;
    project.deploy(&node)?;
    let title = format!("{name}: memory of each of {LIVE} live agents, PSS");
    scale::grown(bench, &node, (ids.live, &title), "counter", LIVE).await
}

/// A copy of the sources that may be changed.
struct Project {
    language: &'static str,
    source: &'static str,
    path: &'static str,
    original: PathBuf,
    folder: TempDir,
}

impl Project {
    fn new(language: &Language) -> Result<Self> {
        let original = node::project()
            .join("bench/guests/languages")
            .join(language.folder);
        Ok(Self {
            language: language.folder,
            source: language.source,
            path: language.path,
            original,
            folder: process::folder()?,
        })
    }

    /// Writes the sources with a version, and the manifest.
    fn write(&self, version: usize, idle: &str) -> Result<()> {
        let own = self.folder.path();
        let manifest = format!(
            "name = \"{}\"\n[components.main]\npath = \"{}\"\n[agents.counter]\nidle = \"{idle}\"\n",
            self.language, self.path
        );
        std::fs::write(own.join("eddy.toml"), manifest)?;
        if self.path == "Cargo.toml" {
            let text = std::fs::read_to_string(self.original.join(self.path))?;
            let sdk = node::project().join("sdk").display().to_string();
            std::fs::write(own.join(self.path), text.replace("../../../../sdk", &sdk))?;
        }
        let text = std::fs::read_to_string(self.original.join(self.source))?;
        let path = own.join(self.source);
        let parent = path.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(parent)?;
        std::fs::write(&path, text.replace(VERSION, &version.to_string()))?;
        Ok(())
    }

    /// `eddy deploy`, from start to end.
    fn deploy(&self, node: &Node) -> Result<Duration> {
        let mut command = Command::new(node::binary()?);
        command
            .args(["--url", &format!("http://{}", node.address()), "deploy"])
            .arg(self.folder.path())
            .env("CARGO_TARGET_DIR", cargo_target(self.folder.path())?)
            .stdin(Stdio::null());
        let began = Instant::now();
        let out = tokio::task::block_in_place(|| command.output())?;
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&out.stderr);
        anyhow::ensure!(out.status.success(), "{command:?}: {} {said}", out.status);
        Ok(took)
    }

    fn deploy_changed(&self, node: &Node) -> Result<Figures> {
        let times = (1..=REDEPLOYS).map(|version| {
            self.write(version, "500ms")?;
            self.deploy(node)
        });
        Figures::of(times.collect::<Result<_>>()?)
    }
}

/// Where cargo builds the project in Rust: kept from run to run.
fn cargo_target(project: &Path) -> Result<PathBuf> {
    let target = project
        .parent()
        .context("a project lies in the build folder")?;
    Ok(target.join("bench-guests"))
}
