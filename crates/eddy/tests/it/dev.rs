//! `eddy new` and `eddy dev`: from nothing to an app that follows its source.

use crate::binary::{Ran, command, eddy, finish, transcript};
use crate::small_disk::NO_MOUNT;
use eddy_api::{CallOptions, Client};
use serde_json::Value;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A project that `eddy new` made.
fn made(language: &str) -> (tempfile::TempDir, PathBuf, Ran) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop");
    let ran = eddy(&["new", language, path.to_str().unwrap()]);
    (dir, path, ran)
}

pub(crate) const DEV: [&str; 4] = ["dev", "--json", "--listen", "127.0.0.1:0"];

/// `eddy dev --json` on a project. Killed when dropped.
pub(crate) struct Dev {
    pub(crate) child: Child,
    out: BufReader<ChildStdout>,
    client: Client,
}

impl Dev {
    pub(crate) fn start(path: &Path) -> Self {
        Self::from(command(&DEV).arg(path))
    }

    pub(crate) fn from(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let ready = event(&mut out);
        assert_eq!(ready["event"], "ready", "{ready}");
        let client = Client::new(ready["url"].as_str().unwrap()).unwrap();
        Self { child, out, client }
    }

    pub(crate) fn event(&mut self) -> Value {
        event(&mut self.out)
    }

    /// The next event of this kind.
    pub(crate) fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event();
            if event["event"] == kind {
                return event;
            }
        }
    }

    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap().code()
    }

    pub(crate) async fn greet(&self) -> String {
        let options = CallOptions::default();
        let answer = self.client.invoke("greet", "{}".into(), &options).await;
        String::from_utf8(answer.unwrap().result.to_vec()).unwrap()
    }
}

fn event(out: &mut impl std::io::BufRead) -> Value {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_new_project_is_whole_and_never_written_over() {
    let mut text = String::new();
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["new", "ts", "shop"][..],
        &["new", "ts", "shop"],
        &["new", "js", "other", "--json"],
        &["new", "cobol", "third"],
        &["new", "ts", "no name"],
    ] {
        let ran = finish(command(args).current_dir(dir.path()));
        text += &transcript(args, &ran.stdout, &ran.stderr, ran.code);
    }
    insta::assert_snapshot!(text);
    let types = std::fs::read_to_string(dir.path().join("shop/eddy.d.ts")).unwrap();
    assert!(
        types.contains("export function agent"),
        "the types of this binary"
    );
}

#[test]
fn a_folder_that_is_there_and_empty_gives_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop");
    std::fs::create_dir(&shop).unwrap();
    let ran = finish(command(&["new", "ts", "."]).current_dir(&shop));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "made shop; next: eddy dev .\n");
    let manifest = std::fs::read_to_string(shop.join("eddy.toml")).unwrap();
    assert!(manifest.contains("name = \"shop\""), "{manifest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_new_project_runs_and_its_examples_work() {
    for language in ["ts", "js"] {
        let (_dir, path, ran) = made(language);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let mut dev = Dev::start(&path);
        let deployed = dev.wait_for("deployed");
        assert_eq!(deployed["app"]["name"], "shop");
        assert!(path.join(".eddy").is_dir(), "the data is in the project");
        let sign = r#"{"name":"Ada","text":"first"}"#;
        let options = CallOptions::default();
        let sign = dev
            .client
            .call("guestbook", "main", "sign", sign.into(), &options);
        assert_eq!(sign.await.unwrap().result, r#"{"entries":1}"#);
        let line = dev.wait_for("log");
        assert_eq!(line["line"]["message"], "Ada signed main");
        let entries = dev
            .client
            .call("guestbook", "main", "entries", "".into(), &options);
        let entries = String::from_utf8(entries.await.unwrap().result.to_vec()).unwrap();
        assert!(entries.contains(r#""text":"first""#), "{entries}");
        assert_eq!(dev.greet().await, r#""Hello, world!""#);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_is_live_at_once_and_a_broken_one_is_told() {
    let (_dir, path, _) = made("ts");
    let file = path.join("index.ts");
    let good = std::fs::read_to_string(&file).unwrap();
    let mut dev = Dev::start(&path);
    let first = dev.wait_for("deployed");
    let version = first["app"]["version"].as_u64().unwrap();

    std::fs::write(&file, good.replace("Hello", "Good day")).unwrap();
    let second = dev.wait_for("deployed");
    assert_eq!(second["app"]["version"], version + 1);
    assert_eq!(dev.greet().await, r#""Good day, world!""#);

    std::fs::write(&file, "export const greet = fn((ctx) => {").unwrap();
    let failed = dev.wait_for("failed");
    assert_eq!(failed["error"]["code"], "invalid-source");
    assert!(
        failed["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("index.ts:1"),
        "{failed}"
    );
    assert_eq!(
        dev.greet().await,
        r#""Good day, world!""#,
        "the old version runs on"
    );

    // A module that is looked for and comes later counts as a save, too.
    let with_part = format!(
        "import {{ word }} from \"./word\";\n{}",
        good.replace("Hello", "${word}")
    );
    std::fs::write(&file, with_part).unwrap();
    dev.wait_for("failed");
    std::fs::write(path.join("word.ts"), "export const word = \"Hi\";").unwrap();
    dev.wait_for("deployed");
    assert_eq!(dev.greet().await, r#""Hi, world!""#);

    // As editors save: a new file in the old one's place.
    std::fs::write(path.join("word.tmp"), "export const word = \"Ho\";").unwrap();
    std::fs::rename(path.join("word.tmp"), path.join("word.ts")).unwrap();
    dev.wait_for("deployed");
    assert_eq!(dev.greet().await, r#""Ho, world!""#);

    let pid = dev.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_is_installed_later_counts_as_a_save() {
    let (_dir, path, _) = made("ts");
    let file = path.join("index.ts");
    let good = std::fs::read_to_string(&file).unwrap();
    let with_package = format!("import {{ word }} from \"word\";\n{good}");
    std::fs::write(&file, with_package.replace("Hello", "${word}")).unwrap();
    let mut dev = Dev::start(&path);
    let failed = dev.wait_for("failed");
    let hint = failed["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("npm install word"), "{failed}");
    // As npm does it: the package, and then its own notes of what is there.
    let package = path.join("node_modules/word");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("index.js"), "exports.word = 'Hi';").unwrap();
    std::fs::write(path.join("node_modules/.package-lock.json"), "{}").unwrap();
    dev.wait_for("deployed");
    assert_eq!(dev.greet().await, r#""Hi, world!""#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_come_later_and_come_again_count_as_saves() {
    let (_dir, path, _) = made("ts");
    let file = path.join("index.ts");
    let good = std::fs::read_to_string(&file).unwrap();
    let with_word = format!("import {{ word }} from \"./lib/word\";\n{good}");
    std::fs::write(&file, with_word.replace("Hello", "${word}")).unwrap();
    let mut dev = Dev::start(&path);
    dev.wait_for("failed");
    let word = |word: &str| {
        let lib = path.join("lib");
        std::fs::create_dir(&lib).unwrap();
        std::fs::write(
            lib.join("word.ts"),
            format!("export const word = {word:?};"),
        )
        .unwrap();
    };
    for said in ["Hi", "Ho"] {
        word(said);
        dev.wait_for("deployed");
        assert_eq!(dev.greet().await, format!("\"{said}, world!\""));
        std::fs::remove_dir_all(path.join("lib")).unwrap();
        dev.wait_for("failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_is_undone_is_told() {
    let (_dir, path, _) = made("ts");
    let file = path.join("index.ts");
    let good = std::fs::read_to_string(&file).unwrap();
    let mut dev = Dev::start(&path);
    let first = dev.wait_for("deployed");
    std::fs::write(&file, "export const greet = ;").unwrap();
    dev.wait_for("failed");
    std::fs::write(&file, good).unwrap();
    let again = dev.wait_for("deployed");
    assert_eq!(first["app"]["version"], again["app"]["version"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_can_be_renamed() {
    let (_dir, path, _) = made("ts");
    let manifest = path.join("eddy.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut dev = Dev::start(&path);
    assert_eq!(dev.wait_for("deployed")["app"]["name"], "shop");
    std::fs::write(
        &manifest,
        text.replace("name = \"shop\"", "name = \"market\""),
    )
    .unwrap();
    assert_eq!(dev.wait_for("deployed")["app"]["name"], "market");
    let apps = dev.client.apps().await.unwrap().items;
    let names: Vec<_> = apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["market"]);
    assert_eq!(dev.greet().await, r#""Hello, world!""#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_from_the_beginning_can_be_mended() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("greet.ts");
    std::fs::write(&file, "export const greet = ;").unwrap();
    let mut dev = Dev::start(&file);
    dev.wait_for("failed");
    std::fs::write(
        &file,
        "import { fn } from 'eddy'; export const greet = fn(() => 7);",
    )
    .unwrap();
    dev.wait_for("deployed");
    assert_eq!(dev.greet().await, "7");
    assert!(dir.path().join(".eddy").is_dir());
}

/// A command in a namespace where the system watches for so many only; none where there are no namespaces.
fn where_few_are_watched(limit: &str, most: u32) -> Option<Command> {
    let script = format!("echo {most} > /proc/sys/user/{limit} && exec \"$@\"");
    let command = |inner: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", &script, "sh"]);
        command.args(inner);
        command
    };
    let can = command(&["true"])
        .output()
        .is_ok_and(|ran| ran.status.success());
    let told = std::env::var_os(NO_MOUNT).is_some();
    assert!(
        can || told,
        "no namespaces here: allow them, or set {NO_MOUNT}=1"
    );
    let mut command = command(&[env!("CARGO_BIN_EXE_eddy")]);
    command.args(DEV);
    can.then_some(command)
}

#[test]
fn it_says_when_nothing_can_be_watched() {
    let Some(mut dev) = where_few_are_watched("max_inotify_instances", 0) else {
        return;
    };
    let (_dir, path, _) = made("ts");
    let ran = finish(dev.arg(&path));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let problem: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(problem["code"], "limit-exceeded");
    assert!(problem["hint"].as_str().unwrap().contains("sysctl"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_when_not_all_can_be_watched() {
    let Some(mut command) = where_few_are_watched("max_inotify_watches", 1) else {
        return;
    };
    let (_dir, path, _) = made("ts");
    let file = path.join("index.ts");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::create_dir(path.join("lib")).unwrap();
    std::fs::write(path.join("lib/word.ts"), "export const word = \"Hi\";").unwrap();
    let with_word = format!("import {{ word }} from \"./lib/word\";\n{good}");
    std::fs::write(&file, with_word.replace("Hello", "${word}")).unwrap();
    let mut dev = Dev::from(command.arg(&path));
    let told = dev.event();
    assert_eq!(told["error"]["code"], "limit-exceeded", "{told}");
    let detail = told["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("/shop/lib are not seen"), "{detail}");
    assert_eq!(dev.event()["event"], "deployed");
    assert_eq!(dev.greet().await, "\"Hi, world!\"");
    // It is told once.
    std::fs::write(&file, with_word.replace("Hello", "So ${word}")).unwrap();
    let mut next = dev.event();
    while next["event"] == "log" {
        next = dev.event();
    }
    assert_eq!(next["event"], "deployed");
    assert_eq!(dev.greet().await, "\"So Hi, world!\"");
}

#[test]
fn dev_says_what_is_wrong_with_its_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_dir, path, _) = made("ts");
    let path = path.to_str().unwrap();
    let ran = eddy(&["dev", path, "--listen", &address]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.starts_with("error[listen-failed]: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("  hint: "), "{}", ran.stderr);
    let ran = eddy(&["dev", path, "--listen", "0.0.0.0:0", "--json"]);
    assert_eq!(ran.code, 6);
    assert!(
        ran.stderr.contains("\"code\":\"insecure-listen\""),
        "{}",
        ran.stderr
    );
}
