//! A real node: the binary as a process of its own, with the means to end it in any way.

use eddy_api::{CallOptions, Client};
use eddy_types::{EddyError, ErrorCode};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// The guest that tests and benchmarks share.
pub fn bench_guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../eddy-wasm/assets/bench-guest.wasm")
}

/// Where nodes share compiled code: each has a new data folder, and most need the same.
pub fn code_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")
}

/// A running `eddy up`. Killed when dropped.
pub struct Node {
    child: Child,
    log: JoinHandle<String>,
    pub url: String,
    pub client: Client,
}

/// How a node is started.
#[derive(Default)]
pub struct Setup<'a> {
    pub listen: Option<String>,
    pub app: Option<&'a Path>,
    pub env: Vec<(&'a str, &'a str)>,
    pub args: Vec<&'a str>,
    /// A command that runs the binary, with its arguments.
    pub runner: Vec<String>,
}

impl Node {
    /// Starts a node and waits until it serves; `Err` has what it printed.
    pub fn start(data: &Path, setup: &Setup<'_>) -> Result<Self, (ExitStatus, String)> {
        let binary = env!("CARGO_BIN_EXE_eddy");
        let mut command = match setup.runner.split_first() {
            None => Command::new(binary),
            Some((runner, arguments)) => {
                let mut command = Command::new(runner);
                command.args(arguments).arg(binary);
                command
            }
        };
        let listen = setup.listen.as_deref().unwrap_or("127.0.0.1:0");
        command
            .args(["up", "--json", "--listen", listen, "--data"])
            .arg(data)
            .args(&setup.args);
        if let Some(app) = setup.app {
            command.arg("--app").arg(app);
        }
        command
            .env_remove("EDDY_FAULT_FS")
            .env("EDDY_CODE_CACHE", code_cache())
            .envs(setup.env.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        // Read all the time, or a full pipe would hold the node up.
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let ready: Option<serde_json::Value> = serde_json::from_str(&line).ok();
        let Some(url) = ready.and_then(|ready| Some(ready["url"].as_str()?.to_owned())) else {
            let status = child.wait().expect("the node ended");
            return Err((status, log.join().unwrap_or_default()));
        };
        let client = Client::new(&url).expect("the node's own URL");
        Ok(Self {
            child,
            log,
            url,
            client,
        })
    }

    /// A node that has to start.
    pub fn up(data: &Path) -> Self {
        Self::with(data, &Setup::default())
    }

    pub fn with(data: &Path, setup: &Setup<'_>) -> Self {
        Self::start(data, setup).unwrap_or_else(|(status, log)| panic!("{status}\n{log}"))
    }

    /// A node that runs one script. It lives in a folder of its own, until that is dropped.
    pub fn scripted(name: &str, script: &str) -> (Self, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let app = dir.path().join(name);
        std::fs::write(&app, script).expect("the folder is writable");
        let setup = Setup {
            app: Some(&app),
            ..Setup::default()
        };
        (Self::with(&dir.path().join("data"), &setup), dir)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing of the process runs any more.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM: asks the node to end.
    pub fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.ask_to_end();
        self.child.wait().expect("the node ends")
    }

    /// Waits for the node to end by itself: how, and what it printed.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("the node ends");
        let log = std::mem::replace(&mut self.log, std::thread::spawn(String::new));
        (status, log.join().unwrap_or_default())
    }

    pub async fn call(
        &self,
        agent: &str,
        method: &str,
        argument: &str,
    ) -> Result<String, EddyError> {
        self.call_with(agent, method, argument, &CallOptions::default())
            .await
    }

    pub async fn call_with(
        &self,
        agent: &str,
        method: &str,
        argument: &str,
        options: &CallOptions,
    ) -> Result<String, EddyError> {
        call(&self.client, agent, method, argument, options).await
    }

    pub async fn invoke(&self, function: &str, argument: &str) -> Result<String, EddyError> {
        let argument = argument.to_owned().into();
        let answer = self
            .client
            .invoke(function, argument, &CallOptions::default())
            .await?;
        Ok(String::from_utf8_lossy(&answer.result).into_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Calls `type/key`.
pub async fn call(
    client: &Client,
    agent: &str,
    method: &str,
    argument: &str,
    options: &CallOptions,
) -> Result<String, EddyError> {
    let (agent_type, key) = agent.split_once('/').expect("type/key");
    let answer = client
        .call(agent_type, key, method, argument.to_owned().into(), options)
        .await?;
    Ok(String::from_utf8_lossy(&answer.result).into_owned())
}

/// Calls with a key until there is an answer, whatever happens to the node meanwhile.
pub async fn insist(
    client: &Client,
    agent: &str,
    method: &str,
    argument: &str,
    key: &str,
) -> Result<String, EddyError> {
    let options = CallOptions {
        idempotency_key: Some(key.to_owned()),
        timeout: Some(Duration::from_secs(10)),
        ..CallOptions::default()
    };
    loop {
        match call(client, agent, method, argument, &options).await {
            Err(error) if error.code.is_retryable() || error.code == ErrorCode::NodeUnreachable => {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            answer => return answer,
        }
    }
}

/// Polls a query until it answers as wanted; the bound is generous because the machine may be slow.
pub async fn eventually(node: &Node, agent: &str, query: &str, wanted: &str) {
    let mut last = String::new();
    for _ in 0..600 {
        last = node
            .call(agent, query, "null")
            .await
            .expect("the query is answered");
        if last == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{agent} {query}: {last}, not {wanted}");
}
