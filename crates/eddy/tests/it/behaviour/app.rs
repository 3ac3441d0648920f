//! The app in one language: built, deployed to a node of its own, and called.

use crate::node::{Node, Setup};
use eddy_api::{CallOptions, Invocation};
use eddy_types::EddyError;
use serde_json::Value;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A language that the app is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    TypeScript,
    Rust,
    Python,
}

impl Language {
    fn folder(self) -> PathBuf {
        let name = match self {
            Self::TypeScript => "ts",
            Self::Rust => "rust",
            Self::Python => "python",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../guests/behaviour")
            .join(name)
    }

    /// The name of an ordinary error, and what its stack names.
    pub(crate) fn plain_error(self) -> (&'static str, &'static str) {
        match self {
            Self::TypeScript => ("Error", "failing.ts:17"),
            Self::Rust => ("Error", "src/failing.rs:29"),
            Self::Python => ("ValueError", "File \"failing.py\", line 15"),
        }
    }

    /// Puts what is deployed into `to`, beside the manifest.
    fn build(self, to: &Path) {
        match self {
            Self::TypeScript => copy_sources(&self.folder(), to, "ts"),
            Self::Python => copy_sources(&self.folder(), to, "py"),
            Self::Rust => {
                fs::copy(rust_component(&self.folder()), to.join("behaviour.wasm")).unwrap();
            }
        }
    }

    /// What the manifest says of the code.
    fn components(self) -> &'static str {
        match self {
            Self::TypeScript | Self::Python => "",
            Self::Rust => "[components.main]\npath = \"behaviour.wasm\"\n",
        }
    }
}

fn copy_sources(from: &Path, to: &Path, extension: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|found| found == extension) {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// The Rust guest, built in a folder below cargo's own, so that it is built once. Cargo has a lock for it.
fn rust_component(folder: &Path) -> PathBuf {
    let target = guest_target();
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(folder)
        // Of the build of these tests, and not for the guest.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "the guest does not build (is the target there? rustup target add wasm32-wasip2)\n{said}"
    );
    target.join("wasm32-wasip2/release/behaviour.wasm")
}

/// Cargo's build folder of guests: they are built once, with what they depend on.
pub(crate) fn guest_target() -> PathBuf {
    tests_folder().join("rust-guest")
}

/// The app's folder as it is deployed, in `dir`. It may fetch from this port.
fn built(language: Language, port: u16, dir: &Path) -> PathBuf {
    let app = dir.join("app");
    fs::create_dir(&app).unwrap();
    language.build(&app);
    let manifest = fs::read_to_string(language.folder().join("eddy.toml")).unwrap();
    assert!(manifest.contains("\"localhost:1\""), "{manifest}");
    let manifest = manifest.replace("localhost:1", &format!("localhost:{port}"));
    let manifest = manifest + "\n" + language.components();
    fs::write(app.join("eddy.toml"), manifest).unwrap();
    app
}

/// A data folder in which the app is deployed, made once for all tests: compiling it takes seconds in a debug build,
/// a node that starts over a copy takes none. Made anew when the app or the binary has changed.
fn deployed(language: Language, app: &Path) -> PathBuf {
    let all = tests_folder().join(format!("{language:?}"));
    fs::create_dir_all(&all).unwrap();
    // Tests are processes of their own; the first makes it.
    let lock = fs::File::create(all.join("lock")).unwrap();
    lock.lock().unwrap();
    let wanted = all.join(fingerprint(app));
    if wanted.is_dir() {
        return wanted;
    }
    for old in fs::read_dir(&all).unwrap() {
        let old = old.unwrap().path();
        if old.is_dir() {
            fs::remove_dir_all(&old).unwrap();
        }
    }
    let new = all.join("new");
    let setup = Setup {
        app: Some(app),
        ..Setup::default()
    };
    let ended = Node::with(&new, &setup).terminate();
    assert!(ended.success(), "{ended}");
    fs::rename(&new, &wanted).unwrap();
    wanted
}

/// What the deployed app depends on: its files and the binary.
fn fingerprint(app: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    let mut files: Vec<_> = fs::read_dir(app)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        (file.file_name(), fs::read(&file).unwrap()).hash(&mut hasher);
    }
    let binary = fs::metadata(env!("CARGO_BIN_EXE_eddy")).unwrap();
    (binary.len(), binary.modified().unwrap()).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&path, &copy),
            false => drop(fs::copy(&path, &copy).unwrap()),
        }
    }
}

/// Where these tests keep what they make once.
fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("behaviour")
}

/// The app on a node.
pub(crate) struct App {
    pub(crate) language: Language,
    pub(crate) node: Node,
    _dir: TempDir,
}

impl App {
    /// On a new node, with nothing it may fetch.
    pub(crate) fn up(language: Language) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        copy_folder(&deployed(language, &built(language, 1, dir.path())), &data);
        let node = Node::up(&data);
        Self {
            language,
            node,
            _dir: dir,
        }
    }

    /// The same app deployed again, now it may fetch from this port.
    pub(crate) async fn may_fetch_from(&self, port: u16) {
        let dir = tempfile::tempdir().unwrap();
        let app = built(self.language, port, dir.path());
        let ran = crate::binary::command(&["deploy", app.to_str().unwrap()])
            .env("EDDY_URL", &self.node.url)
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    /// The result of a function.
    pub(crate) async fn invoke(&self, function: &str, argument: Value) -> Result<Value, EddyError> {
        let argument = argument.to_string();
        Ok(json(&self.node.invoke(function, &argument).await?))
    }

    /// The result of a method of `type/key`.
    pub(crate) async fn call(
        &self,
        agent: &str,
        method: &str,
        argument: Value,
    ) -> Result<Value, EddyError> {
        let argument = argument.to_string();
        Ok(json(&self.node.call(agent, method, &argument).await?))
    }

    /// The result of a function that has to give one.
    pub(crate) async fn invoked(&self, function: &str, argument: Value) -> Value {
        let result = self.invoke(function, argument).await;
        result.unwrap_or_else(|error| panic!("{function}: {error:?}"))
    }

    /// The result of a method that has to give one.
    pub(crate) async fn called(&self, agent: &str, method: &str, argument: Value) -> Value {
        let result = self.call(agent, method, argument).await;
        result.unwrap_or_else(|error| panic!("{agent} {method}: {error:?}"))
    }

    /// The error of a method that has to fail.
    pub(crate) async fn fails(&self, agent: &str, method: &str, argument: Value) -> EddyError {
        let result = self.call(agent, method, argument).await;
        result.expect_err(&format!("{agent} {method}"))
    }

    /// Polls a query until it answers as wanted; the bound is generous because the machine may be slow.
    pub(crate) async fn until(&self, agent: &str, query: &str, wanted: Value) {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.called(agent, query, Value::Null).await;
            if last == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{agent} {query}: {last}, not {wanted}");
    }

    /// A function's result and the record of the invocation.
    pub(crate) async fn recorded(&self, function: &str) -> (Value, Invocation) {
        let client = &self.node.client;
        let options = CallOptions::default();
        let answer = client.invoke(function, "".into(), &options).await.unwrap();
        let id = answer.invocation.unwrap();
        let record = client.invocation(&id).await.unwrap();
        (serde_json::from_slice(&answer.result).unwrap(), record)
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
