//! `eddy up`: a node, its server and the apps named on the command line, until a signal or a
//! failed disk ends it.

use crate::args::UpArgs;
use crate::certificate::Certificate;
use crate::commands::deploy;
use crate::examples;
use crate::exit::Failed;
use crate::local;
use crate::output::Output;
use crate::progress;
use crate::signals::Signals;
use anstream::{AutoStream, ColorChoice};
use eddy_api::{App, Problem};
use eddy_node::{Deployment, Node, NodeConfig, OfflineAccess};
use eddy_server::{Protection, Server, check_listen};
use eddy_types::manifest::Example;
use eddy_types::{AppSpec, EddyError, ErrorCode, TenantId};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

/// After its turns have ended, what a node may take to write the last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Of each app that the command line names, the examples it brings.
type Examples = BTreeMap<String, Vec<Example>>;

/// What `--json` prints when the node serves.
#[derive(Serialize)]
struct Ready {
    url: String,
    data: PathBuf,
    pid: u32,
    apps: Vec<App>,
}

pub(crate) async fn run(args: UpArgs, output: &Output) -> Result<(), Failed> {
    log_to_stderr()?;
    open_more_files();
    // Whatever can be known to fail is found before the node starts.
    let mut tls = certificate(&args)?;
    let encrypted = tls.is_some() || args.plain_http;
    let tokens = OfflineAccess::demands_tokens(&args.data)?;
    check_listen(args.listen, Protection { tokens, encrypted })?;
    let mut signals = Signals::new()?;
    let deployments = tokio::select! {
        biased;
        name = signals.next() => {
            output.say(format_args!("{name}: ended before the node had started"));
            return Ok(());
        }
        deployments = bundled(&args.app, output) => deployments?,
    };
    let node = Node::start(config(&args)).await?;
    let server = bind(args.listen, &node, encrypted).await?;
    let (scheme, server) = match &tls {
        None => ("http", server),
        Some(tls) => ("https", server.secured(tls.server())),
    };
    let mut serving = None;
    let ended = tokio::select! {
        failed = async {
            let examples = deploy(&node, deployments, output).await?;
            let url = format!("{scheme}://{}", server.local_addr()?);
            // Whoever is answered finds all apps: until now connections waited in the backlog.
            serving = Some(Serving::start(server));
            announce(url, &args.data, &node, &examples, output)?;
            std::future::pending::<Result<(), Failed>>().await
        } => failed,
        () = keep_fresh(&mut tls) => Ok(()),
        stopped = node.stopped() => Err(Failed::stopped(stopped.0)),
        name = signals.next() => {
            output.say(format_args!("{name}: finishing what runs, at most {}; again to end at once",
                humantime::format_duration(args.grace)));
            Ok(())
        }
    };
    tokio::select! {
        drained = drain(serving, &node, args.grace) => ended.and(drained.map_err(Failed::stopped)),
        name = signals.next() => {
            Err(interrupted(name))
        }
    }
}

async fn bundled(paths: &[PathBuf], output: &Output) -> Result<Vec<Deployment>, Failed> {
    let mut deployments = Vec::new();
    for path in paths {
        let bundle = deploy::bundle(path, output).await?;
        deployments.push(local::deployment(bundle, output).await?);
    }
    Ok(deployments)
}

/// The node was told twice.
pub(crate) fn interrupted(name: &str) -> Failed {
    let detail = format!("{name} came before everything had ended");
    let error = EddyError::new(ErrorCode::ShuttingDown, detail);
    Failed::stopped(error.hint("Nothing acknowledged is lost; the next start replays the journal."))
}

/// The node's certificate. The options come together, or not at all.
fn certificate(args: &UpArgs) -> Result<Option<Certificate>, EddyError> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(chain), Some(key)) => Certificate::read(chain, key).map(Some),
        _ => Ok(None),
    }
}

async fn keep_fresh(certificate: &mut Option<Certificate>) {
    match certificate {
        Some(certificate) => certificate.keep_fresh().await,
        None => std::future::pending().await,
    }
}

/// Lets the node have as many files open as the system lets it ask for. Shells begin with fewer, for programs that take
/// numbers of files for small; connections would use these up.
pub(crate) fn open_more_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Else it has what it has: `eddy doctor` says when that is too few.
    let _ = setrlimit(Resource::Nofile, most);
}

pub(crate) fn log_to_stderr() -> Result<(), EddyError> {
    let filter = EnvFilter::builder()
        .with_env_var("EDDY_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
        .from_env()
        .map_err(|error| {
            EddyError::new(ErrorCode::InvalidArgument, format!("EDDY_LOG: {error}"))
                .hint("Write it as info, or eddy_node=debug,warn.")
        })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour())
        .with_writer(std::io::stderr)
        // It would be told on the very stderr that cannot be written, with a panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// The log has colours where a person reads it and wants them.
fn colour() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

pub(crate) fn config(args: &UpArgs) -> NodeConfig {
    NodeConfig {
        fault_fs: std::env::var("EDDY_FAULT_FS").ok(),
        code_cache: args.code_cache.clone(),
        ..local::config(&args.data)
    }
}

/// Takes the address before anything compiles, so that one in use is found out early.
pub(crate) async fn bind(
    address: SocketAddr,
    node: &Arc<Node>,
    encrypted: bool,
) -> Result<Server, Failed> {
    match Server::bind(address, node.clone(), encrypted).await {
        Ok(server) => Ok(server),
        Err(error) => {
            let _ = node.shutdown(Duration::ZERO).await;
            Err(error.into())
        }
    }
}

/// Deploys; gives the examples that each app brings, by its name.
async fn deploy(
    node: &Node,
    deployments: Vec<Deployment>,
    output: &Output,
) -> Result<Examples, Failed> {
    let mut all = Examples::new();
    for deployment in deployments {
        let _progress = progress::start(output, &format!("Compiling {}", deployment.manifest.name));
        let examples = deployment.manifest.examples.clone();
        let app = node.deploy(&TenantId::default_tenant(), deployment).await?;
        all.insert(app.name.to_string(), examples);
    }
    Ok(all)
}

/// Says where the node is and what runs on it: also the apps that its data folder held already.
fn announce(
    url: String,
    data: &Path,
    node: &Node,
    examples: &Examples,
    output: &Output,
) -> Result<(), Failed> {
    let apps = node.apps(&TenantId::default_tenant());
    let ready = Ready {
        url,
        data: data.to_owned(),
        pid: std::process::id(),
        apps: apps.iter().map(|app| shown(node, app)).collect(),
    };
    output.data(&ready, || ready.text(examples))
}

/// An app, and what keeps it from running.
fn shown(node: &Node, app: &AppSpec) -> App {
    let trouble = node.app_trouble(&TenantId::default_tenant(), &app.name);
    App {
        error: trouble.as_ref().map(Problem::from),
        ..App::from(app)
    }
}

impl Ready {
    /// Lines to paste come last: nearest to the prompt.
    fn text(&self, examples: &Examples) -> String {
        let data = self.data.display();
        let mut text = format!("Eddy is up at {} (data in {data})", self.url);
        if self.apps.is_empty() {
            return text + "\n\nDeploy something: eddy deploy PATH";
        }
        let given = |app: &&App| examples.contains_key(&app.name);
        let (given, stored): (Vec<_>, Vec<_>) = self.apps.iter().partition(given);
        if !stored.is_empty() {
            text += "\n";
        }
        for app in stored {
            text += &format!("\n{} version {} ", app.name, app.version);
            text += &match &app.error {
                None => "is deployed.".to_owned(),
                Some(error) => format!("cannot run: {}", error.detail),
            };
        }
        for app in given {
            text += &format!("\n\n{} version {} is deployed. Try:", app.name, app.version);
            for line in examples::lines(&self.url, app, &examples[&app.name]) {
                text += &format!("\n  {line}");
            }
        }
        text
    }
}

/// The server beside the node.
pub(crate) struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    pub(crate) fn start(server: Server) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        #[allow(
            clippy::disallowed_methods,
            reason = "the one task of the binary, awaited below"
        )]
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }
}

/// No new connections; running turns get the grace; their answers still go out.
pub(crate) async fn drain(
    serving: Option<Serving>,
    node: &Node,
    grace: Duration,
) -> Result<(), EddyError> {
    let Some(Serving { stop, task }) = serving else {
        return node.shutdown(grace).await;
    };
    let _ = stop.send(());
    let closed = node.shutdown(grace).await;
    // Connections whose client does not read are given up.
    let _ = tokio::time::timeout(LAST_ANSWERS, task).await;
    closed
}
