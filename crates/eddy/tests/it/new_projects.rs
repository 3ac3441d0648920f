//! What `eddy new` makes, as it is: its tests pass, it deploys, its examples work, and an editor finds no mistake in it.

use crate::behaviour::guest_target;
use crate::binary::{Ran, command, finish};
use crate::book;
use crate::node::Node;
use crate::packages::{npm, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A new project, in a folder that is always the same, so that what is kept of it does not grow.
fn project(language: &str, of: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new").join(of);
    let folder = all.join(language).join("shop");
    let _ = fs::remove_dir_all(&folder);
    let made = with(&["new", language, folder.to_str().unwrap()], &[]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    folder
}

/// `eddy`, with cargo's build folder shared by all guests.
fn with(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = command(args);
    command.env("CARGO_TARGET_DIR", guest_target());
    // Of the build of these tests, and not for a user's project.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    finish(command.envs(env.iter().copied()))
}

/// Path and body of each request to try in `eddy.toml`.
fn examples(project: &Path) -> Vec<(String, String)> {
    let manifest = fs::read_to_string(project.join("eddy.toml")).unwrap();
    let sections = manifest.split("[[examples]]").skip(1);
    let value = |section: &str, key: &str| {
        let line = section.lines().find_map(|line| line.strip_prefix(key));
        line.map(|line| line.trim_matches([' ', '=', '"', '\'']).to_owned())
    };
    let one = |section| {
        let path = value(section, "path").expect("an example has a path");
        (path, value(section, "body").unwrap_or_default())
    };
    sections.map(one).collect()
}

/// Its own tests, a deploy, and all that its manifest says to try.
async fn works_as_it_is(language: &str) {
    let project = project(language, "runs");
    if language == "rust" {
        // The versions that are there already, so that they are built once for all tests.
        let behaviour =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/behaviour/rust/Cargo.lock");
        let lock = fs::read_to_string(behaviour).unwrap();
        let lock = lock.replace("name = \"behaviour\"", "name = \"shop\"");
        fs::write(project.join("Cargo.lock"), lock).unwrap();
    }
    let path = project.to_str().unwrap();
    let tested = with(&["test", path], &[]);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    let passed = tested.stdout.trim_end().strip_suffix(" passed");
    let passed: u32 = passed.expect("a number of tests").parse().unwrap();
    assert!(passed > 0, "there are no tests");

    let data = tempfile::tempdir().unwrap();
    let node = Node::up(data.path());
    let deployed = with(&["deploy", path], &[("EDDY_URL", &node.url)]);
    assert_eq!(deployed.code, 0, "{}", deployed.stderr);
    let mut answers = Vec::new();
    for (path, body) in examples(&project) {
        let segments: Vec<_> = path.split('/').skip(2).collect();
        let body = if body.is_empty() { "null" } else { &body };
        let answer = match &segments[..] {
            ["agents", agent_type, key, method] => {
                node.call(&format!("{agent_type}/{key}"), method, body)
                    .await
            }
            ["functions", function] => node.invoke(function, body).await,
            _ => panic!("{path}"),
        };
        answers.push(answer.unwrap_or_else(|error| panic!("{path}: {error}")));
    }
    let [signed, entries, greeted] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(signed, r#"{"entries":1}"#);
    assert!(entries.contains("I was here"), "{entries}");
    assert_eq!(greeted, r#""Hello, Ada!""#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typescript_works_as_it_is() {
    works_as_it_is("ts").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_works_as_it_is() {
    works_as_it_is("js").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_works_as_it_is() {
    works_as_it_is("rust").await;
}

/// By a name of its own, so that it can be left out where there is no Python.
mod python {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn works_as_it_is() {
        super::works_as_it_is("python").await;
    }
}

const CHECKERS: &str = r#"{
  "private": true,
  "dependencies": { "pyright": "1.1.414", "typescript": "7.0.2" }
}"#;

/// The type checkers, from npm.
struct Checkers(PathBuf);

impl Checkers {
    fn install() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm-checkers");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("package.json"), CHECKERS).unwrap();
        let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(npm().args(install).current_dir(&folder));
        Self(folder)
    }

    /// What is wrong with a project in this language.
    fn check(&self, language: &str, project: &Path) -> Result<(), String> {
        let (program, config) = match language {
            "ts" => ("tsc", "tsconfig.json"),
            "js" => ("tsc", "jsconfig.json"),
            _ => ("pyright", ""),
        };
        let mut command: Command = npm();
        let arguments = ["exec", "--offline", "--", program, "-p"];
        let output = command
            .args(arguments)
            .arg(project.join(config))
            .current_dir(&self.0)
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }
}

/// Needs the npm registry, or the one that npm is set up with; see CONTRIBUTING.md.
#[test]
fn types_are_right_and_a_mistake_is_found() {
    let checkers = Checkers::install();
    for (language, source, mistake) in [
        ("ts", "index.ts", "greet(1);"),
        ("js", "index.js", "greet(1);"),
        ("python", "main.py", "greet(1)"),
    ] {
        let project = project(language, "checked");
        assert_eq!(checkers.check(language, &project), Ok(()), "{language}");
        let path = project.join(source);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n{mistake}\n")).unwrap();
        let wrong = checkers.check(language, &project);
        let wrong = wrong.expect_err("nothing is found");
        assert!(wrong.contains(source), "{wrong}");
    }
    // What the tours have their readers write into such a project.
    for (language, page, tests) in [
        ("ts", "docs/tour-typescript.md", "test"),
        ("python", "docs/tour-python.md", "tests"),
    ] {
        let project = project(language, "tour");
        fs::remove_dir_all(project.join(tests)).unwrap();
        for (path, text) in book::files(page, "shop/") {
            let path = project.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(checkers.check(language, &project), Ok(()), "{page}");
    }
}
