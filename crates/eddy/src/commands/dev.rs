//! `eddy dev`: a node with one project on it, deployed again at every save, and what its guests log.

use crate::args::{DevArgs, UpArgs};
use crate::bundling::on_a_large_stack;
use crate::cache;
use crate::commands::logs::{gap, text};
use crate::commands::up::{self, Serving};
use crate::dev::Watch;
use crate::exit::Failed;
use crate::local;
use crate::output::Output;
use crate::signals::Signals;
use eddy_api::{App, LogEntry, LogMissed, Problem};
use eddy_bundle::{Bundle, bundle_noting};
use eddy_node::{LogFilter, LogNews, LogReader, LogStart, Node, OfflineAccess};
use eddy_server::{Protection, check_listen};
use eddy_types::manifest::Example;
use eddy_types::{EddyError, ErrorCode, Name, TenantId};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What `--json` prints, one line each.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'e> {
    /// The node serves.
    Ready {
        url: &'e str,
        data: &'e Path,
        pid: u32,
    },
    /// A version is live. The time is that from the end of the save on.
    Deployed { app: &'e App, millis: u64 },
    /// A save could not be deployed, or some are not seen: what ran before runs on.
    Failed { error: &'e Problem },
    /// A guest logged.
    Log { line: &'e LogEntry },
    /// Lines of the log were dropped before they were shown.
    Missed { lines: Option<u64> },
}

/// The project, and what is known of it.
struct Project<'p> {
    path: &'p Path,
    node: Arc<Node>,
    watch: Watch,
    output: &'p Output,
    /// What is live: its name and version.
    live: Option<(Name, u64)>,
    /// The last save could not be deployed.
    broken: bool,
    /// What was told of saves that are not seen.
    unseen: Option<String>,
}

pub(crate) async fn run(args: DevArgs, output: &Output) -> Result<(), Failed> {
    // What is broken can be mended while this runs; a path that leads nowhere is a slip of the hand.
    std::fs::metadata(&args.path).map_err(|error| {
        let detail = format!("{} cannot be read: {error}", args.path.display());
        EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Check the path; `eddy new` makes a project.")
    })?;
    let args = UpArgs {
        data: args.data.unwrap_or_else(|| data_folder(&args.path)),
        listen: args.listen,
        // The next project begins with a new data folder, and most of the same code.
        code_cache: cache::code(),
        app: vec![args.path],
        tls_cert: None,
        tls_key: None,
        plain_http: false,
        grace: args.grace,
    };
    up::log_to_stderr()?;
    up::open_more_files();
    let protection = Protection {
        tokens: OfflineAccess::demands_tokens(&args.data)?,
        encrypted: false,
    };
    check_listen(args.listen, protection).map_err(|error| {
        error.hint("`eddy dev` is for this machine: leave --listen on loopback, or use `eddy up`.")
    })?;
    let mut signals = Signals::new()?;
    let watch = Watch::new(&folder(&args.app[0]))?;
    let node = Node::start(up::config(&args)).await?;
    let server = up::bind(args.listen, &node, false).await?;
    let url = format!("http://{}", server.local_addr()?);
    let tenant = TenantId::default_tenant();
    let log = node.follow_logs(&tenant, LogFilter::default(), LogStart::Recent(0))?;
    let project = Project {
        path: &args.app[0],
        node: node.clone(),
        watch,
        output,
        live: None,
        broken: false,
        unseen: None,
    };
    let serving = Serving::start(server);
    let ready = Event::Ready {
        url: &url,
        data: &args.data,
        pid: std::process::id(),
    };
    let data = args.data.display();
    output.data(&ready, || format!("Eddy is up at {url} (data in {data})"))?;
    let ended = tokio::select! {
        failed = project.follow(log, &url) => failed,
        stopped = node.stopped() => Err(Failed::stopped(stopped.0)),
        _ = signals.next() => Ok(()),
    };
    tokio::select! {
        drained = up::drain(Some(serving), &node, args.grace) => ended.and(drained.map_err(Failed::stopped)),
        name = signals.next() => Err(up::interrupted(name)),
    }
}

/// Inside the project, so that each has its own and `rm -r` of it leaves nothing behind.
fn data_folder(project: &Path) -> PathBuf {
    folder(project).join(".eddy")
}

/// The folder that a project is in.
fn folder(project: &Path) -> PathBuf {
    match (project.is_dir(), project.parent()) {
        (true, _) => project.to_owned(),
        (false, Some(parent)) if parent != "" => parent.to_owned(),
        (false, _) => PathBuf::from("."),
    }
}

impl Project<'_> {
    /// Deploys, and again at every save; shows the log meanwhile. Ends when it cannot go on.
    async fn follow(mut self, mut log: LogReader, url: &str) -> Result<(), Failed> {
        let examples = self.deploy().await?;
        if let Some((app, examples)) = examples {
            self.output.say("Try:");
            for line in crate::examples::lines(url, &app, &examples) {
                self.output.say(format_args!("  {line}"));
            }
        }
        loop {
            tokio::select! {
                news = log.next() => {
                    if !self.show(news).await? {
                        return Ok(());
                    }
                }
                () = self.watch.saved() => drop(self.deploy().await?),
            }
        }
    }

    /// Bundles and deploys what is saved now. What is wrong with it is told, and no error here.
    async fn deploy(&mut self) -> Result<Option<(App, Vec<Example>)>, Failed> {
        let (start, begun) = now();
        let (path, output) = (self.path.to_owned(), self.output.clone());
        let (bundle, read) = on_a_large_stack(move || {
            let tell = |line: &str| output.say(line);
            let tell: Option<&dyn Fn(&str)> = match output.is_json() {
                true => None,
                false => Some(&tell),
            };
            let mut read = Vec::new();
            let bundle = bundle_noting(&path, tell, &mut read).map_err(EddyError::from);
            (bundle, read)
        })
        .await?;
        // Also of one that failed: the save that mends it may be in any of these.
        let looked = self.watch.look_at(read, begun);
        self.told_unseen(looked.err())?;
        let before = self.live.clone();
        let deployed = match bundle {
            Ok(bundle) => self.install(bundle).await,
            Err(error) => Err(error.into()),
        };
        match deployed {
            Ok((app, examples)) => {
                // What was broken and is as before again is told, too.
                if self.live != before || self.broken {
                    self.told(&app, start)?;
                }
                self.broken = false;
                Ok(Some((app, examples)))
            }
            Err(Failed {
                error: Some(error), ..
            }) => {
                self.broken = true;
                self.failed(&error)?;
                Ok(None)
            }
            Err(failed) => Err(failed),
        }
    }

    async fn install(&mut self, bundle: Bundle) -> Result<(App, Vec<Example>), Failed> {
        let examples = bundle.manifest.examples.clone();
        let tenant = TenantId::default_tenant();
        let deployment = local::deployment(bundle, self.output).await?;
        let name = deployment.manifest.name.clone();
        let mut deployed = self.node.deploy(&tenant, deployment.clone()).await;
        if let Some((was, _)) = self.live.clone().filter(|(was, _)| *was != name) {
            // The project has another name now: what it defined under the old one may stand in its own way.
            let in_its_way = matches!(&deployed, Err(error) if error.code == ErrorCode::NameTaken);
            if deployed.is_ok() || in_its_way {
                self.node.delete_app(&tenant, &was).await?;
                self.live = None;
            }
            if in_its_way {
                deployed = self.node.deploy(&tenant, deployment).await;
            }
        }
        let app = deployed?;
        self.live = Some((name, app.version));
        Ok((App::from(&*app), examples))
    }

    fn told(&self, app: &App, start: Instant) -> Result<(), Failed> {
        let took = start.elapsed();
        if self.output.is_json() {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            return self
                .output
                .data(&Event::Deployed { app, millis }, String::new);
        }
        let (name, version, seconds) = (&app.name, app.version, took.as_secs_f32());
        self.output.say(format_args!(
            "{name} version {version} is live ({seconds:.2} s)"
        ));
        Ok(())
    }

    /// Saves in some folder are not seen, or all are again. What can be deployed is, all the same.
    fn told_unseen(&mut self, error: Option<EddyError>) -> Result<(), Failed> {
        let before = std::mem::replace(
            &mut self.unseen,
            error.as_ref().map(|error| error.detail.to_string()),
        );
        match error {
            Some(error) if self.unseen != before => self.error(&error),
            _ => Ok(()),
        }
    }

    fn error(&self, error: &EddyError) -> Result<(), Failed> {
        if self.output.is_json() {
            let error = &Problem::from(error);
            return self.output.data(&Event::Failed { error }, String::new);
        }
        self.output.error(error);
        Ok(())
    }

    fn failed(&self, error: &EddyError) -> Result<(), Failed> {
        self.error(error)?;
        match &self.live {
            Some((_, version)) => self.output.say(format_args!(
                "version {version} runs on; waiting for a save"
            )),
            None => self.output.say("waiting for a save"),
        }
        Ok(())
    }

    /// Whether there is more to come, and somebody to show it to.
    async fn show(&self, news: LogNews) -> Result<bool, Failed> {
        match news {
            LogNews::Lines(lines) => {
                for line in lines {
                    let line = &eddy_server::log_entry(&line);
                    if !self.output.line(&Event::Log { line }, || text(line))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            LogNews::Missed(lines) => {
                match self.output.is_json() {
                    true => self.output.data(&Event::Missed { lines }, String::new)?,
                    false => self.output.say(gap(LogMissed { lines })),
                }
                Ok(true)
            }
            // Whoever stops the node ends the command.
            LogNews::Stopping => std::future::pending().await,
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long a deploy took is told to people; files have the system's time"
)]
fn now() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}
