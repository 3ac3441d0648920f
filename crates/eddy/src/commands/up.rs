//! `eddy up`: a node, its server and the apps named on the command line, until a signal or a
//! failed disk ends it.

use crate::args::UpArgs;
use crate::examples;
use crate::exit::Failed;
use crate::output::Output;
use crate::progress;
use anstream::{AutoStream, ColorChoice};
use eddy_api::App;
use eddy_bundle::{Bundle, BundledCode};
use eddy_node::{Code, Deployment, Module, Node, NodeConfig};
use eddy_server::{Server, check_listen};
use eddy_types::manifest::Example;
use eddy_types::{EddyError, ErrorCode, TenantId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

/// A secret NAME is what this and NAME is set to in the node's environment.
const SECRET_PREFIX: &str = "EDDY_SECRET_";
/// After its turns have ended, what a node may take to write the last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

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
    // Whatever can be known to fail is found before the node starts.
    check_listen(args.listen)?;
    let mut signals = Signals::new()?;
    let bundles = args
        .app
        .iter()
        .map(|path| bundle(path, output))
        .collect::<Result<Vec<_>, _>>()?;
    let node = Node::start(config(&args)).await?;
    let serving = match Serving::start(&args, node.clone()).await {
        Ok(serving) => serving,
        Err(error) => {
            let _ = node.shutdown(Duration::ZERO).await;
            return Err(error.into());
        }
    };
    let ended = tokio::select! {
        deployed = async {
            let apps = deploy(&node, bundles, output).await?;
            announce(&serving.url, &args.data, apps, output)?;
            std::future::pending::<Result<(), Failed>>().await
        } => deployed,
        stopped = node.stopped() => Err(Failed::stopped(stopped.0)),
        name = signals.next() => {
            output.say(format_args!("{name}: finishing what runs, at most {}; again to end at once",
                humantime::format_duration(args.grace)));
            Ok(())
        }
    };
    tokio::select! {
        drained = serving.drain(&node, args.grace) => ended.and(drained.map_err(Failed::stopped)),
        name = signals.next() => {
            let detail = format!("{name} came before everything had ended");
            let error = EddyError::new(ErrorCode::ShuttingDown, detail);
            Err(Failed::stopped(error.hint("Nothing acknowledged is lost; the next start replays the journal.")))
        }
    }
}

fn log_to_stderr() -> Result<(), EddyError> {
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

fn config(args: &UpArgs) -> NodeConfig {
    let secrets: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let name = name.strip_prefix(SECRET_PREFIX)?;
            Some((name.to_owned(), value.into_string().ok()?))
        })
        .collect();
    let fault_fs = std::env::var("EDDY_FAULT_FS").ok();
    NodeConfig {
        secrets,
        fault_fs,
        ..NodeConfig::new(&args.data)
    }
}

fn bundle(path: &Path, output: &Output) -> Result<Bundle, Failed> {
    let _progress = progress::start(output, &format!("Bundling {}", path.display()));
    Ok(eddy_bundle::bundle(path)?)
}

/// The apps as they run, each with the examples it brings.
async fn deploy(
    node: &Node,
    bundles: Vec<Bundle>,
    output: &Output,
) -> Result<Vec<(App, Vec<Example>)>, Failed> {
    let mut apps = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        let _progress = progress::start(output, &format!("Compiling {}", bundle.manifest.name));
        let examples = bundle.manifest.examples.clone();
        let app = node
            .deploy(&TenantId::default_tenant(), deployment(bundle))
            .await?;
        apps.push((App::from(&*app), examples));
    }
    Ok(apps)
}

fn deployment(bundle: Bundle) -> Deployment {
    let components = bundle.components.into_iter().map(|component| {
        let code = match component.code {
            BundledCode::Wasm(bytes) => Code::Wasm(bytes.into()),
            BundledCode::Js { modules } => {
                let modules = modules.into_iter().map(|module| Module {
                    name: module.name,
                    source: module.source,
                    source_map: module.source_map,
                });
                Code::Js(modules.collect())
            }
        };
        (component.name, code)
    });
    Deployment {
        components: components.collect(),
        manifest: bundle.manifest,
    }
}

fn announce(
    url: &str,
    data: &Path,
    apps: Vec<(App, Vec<Example>)>,
    output: &Output,
) -> Result<(), Failed> {
    let mut text = format!("Eddy is up at {url} (data in {})", data.display());
    for (app, examples) in &apps {
        text += &format!("\n\n{} version {} is deployed. Try:", app.name, app.version);
        for line in examples::lines(url, app, examples) {
            text += &format!("\n  {line}");
        }
    }
    if apps.is_empty() {
        text += "\n\nDeploy something: eddy deploy PATH";
    }
    let apps = apps.into_iter().map(|(app, _)| app).collect();
    let ready = Ready {
        url: url.to_owned(),
        data: data.to_owned(),
        pid: std::process::id(),
        apps,
    };
    output.data(&ready, || text)
}

/// The server beside the node.
struct Serving {
    url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    async fn start(args: &UpArgs, node: Arc<Node>) -> Result<Self, EddyError> {
        let server = Server::bind(args.listen, node).await?;
        let url = format!("http://{}", server.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        #[allow(
            clippy::disallowed_methods,
            reason = "the one task of the binary, awaited below"
        )]
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Ok(Self { url, stop, task })
    }

    /// No new connections; running turns get the grace; their answers still go out.
    async fn drain(self, node: &Node, grace: Duration) -> Result<(), EddyError> {
        let _ = self.stop.send(());
        let closed = node.shutdown(grace).await;
        // Connections whose client does not read are given up.
        let _ = tokio::time::timeout(LAST_ANSWERS, self.task).await;
        closed
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failed> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                let detail = format!("signals cannot be listened for: {error}");
                Failed::stopped(EddyError::internal(detail))
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
