//! `eddy deploy` of Rust projects, with the real cargo: what is built, what people see of it, and what is said when
//! it cannot be built.

use crate::behaviour::guest_target;
use crate::binary::{NOBODY, Ran, command, finish};
use crate::node::Node;
use eddy_api::Problem;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HELLO: &str = r#"
use eddy_sdk::prelude::*;
use std::time::Duration;

#[function]
pub async fn hello(_ctx: &FunctionContext, name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[function]
pub fn explode(_ctx: &FunctionContext) -> Result<()> {
    panic!("there are {} sides to it", 3)
}

/// Invokes the other by its type.
#[function]
pub async fn again(ctx: &FunctionContext, name: String) -> Result<String> {
    ctx.function::<hello>(name).await
}

/// More sleeps than may be under way at once: what is dropped is cancelled, and gone from the count.
#[function]
pub async fn many(ctx: &FunctionContext) -> Result<u32> {
    let (hour, nothing) = (Duration::from_secs(3600), Duration::ZERO);
    for _ in 0..300 {
        ctx.timeout(hour, ctx.sleep(nothing)).await??;
    }
    Ok(300)
}

eddy_sdk::export!(again, explode, hello, many);
"#;

/// A project with these files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), files);
    dir
}

fn fill(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in [("eddy.toml", "name = \"hello\"\n")].iter().chain(files) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A package without dependencies, a component or not.
fn package(name: &str, kind: &str) -> String {
    format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"{kind}\"]\n")
}

/// Deploys, with cargo's build folder in the project.
fn deploy(args: &[&str], project: &Path, env: &[(&str, &str)]) -> Ran {
    let target = project.join("target");
    let args = [args, &["deploy", project.to_str().unwrap()]].concat();
    let mut command = command(&args);
    command.env("CARGO_TARGET_DIR", target);
    // Of the build of these tests, and not for a user's project.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TERM_COLOR"] {
        command.env_remove(name);
    }
    finish(command.envs(env.iter().copied()))
}

/// A project on the SDK, with the versions that the behaviour suite uses, so that they are built once. Its folder is
/// always the same, so that what cargo keeps of it does not grow.
fn on_the_sdk() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let behaviour = root.join("guests/behaviour/rust");
    let named = |file: &str| {
        let text = fs::read_to_string(behaviour.join(file)).unwrap();
        text.replace("name = \"behaviour\"", "name = \"hello\"")
    };
    let sdk = root.join("sdk/rust/eddy-sdk");
    let manifest = named("Cargo.toml").replace("../../../sdk/rust/eddy-sdk", sdk.to_str().unwrap());
    let folder = guest_target().with_file_name("hello");
    fill(
        &folder,
        &[
            ("Cargo.toml", &manifest),
            ("Cargo.lock", &named("Cargo.lock")),
            ("src/lib.rs", HELLO),
        ],
    );
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rust_project_is_built_and_deployed() {
    let project = on_the_sdk();
    let data = tempfile::tempdir().unwrap();
    let node = Node::up(data.path());
    let target = guest_target();
    let env = [
        ("EDDY_URL", &*node.url),
        ("CARGO_TARGET_DIR", target.to_str().unwrap()),
    ];
    let ran = deploy(&[], &project, &env);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // What cargo says is shown, and is not part of the data.
    assert!(
        ran.stderr.contains("Compiling hello v0.1.0"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stdout.contains("Compiling"), "{}", ran.stdout);
    assert_eq!(
        node.invoke("hello", "\"Ada\"").await.unwrap(),
        "\"Hello, Ada!\""
    );

    assert_eq!(
        node.invoke("again", "\"Bo\"").await.unwrap(),
        "\"Hello, Bo!\""
    );
    assert_eq!(node.invoke("many", "null").await.unwrap(), "300");
    let wrong = node.invoke("hello", "{\"name\":1}").await.unwrap_err();
    assert_eq!(wrong.http_status(), 400);
    assert_eq!(wrong.guest.unwrap().name, "invalid-argument");
    let trap = node.invoke("explode", "null").await.unwrap_err();
    assert_eq!(trap.code, eddy_types::ErrorCode::GuestTrap);
    let page = node.client.invocations(&Default::default()).await.unwrap();
    let logs = page.items.iter().flat_map(|invocation| &invocation.logs);
    let logs: Vec<_> = logs.map(|line| (&*line.level, &*line.message)).collect();
    let panic = "panicked at src/lib.rs:12:5: there are 3 sides to it";
    assert_eq!(logs, [("error", panic)]);

    let ran = deploy(&["--json"], &project, &env);
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    let app: eddy_api::App = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((app.version, app.functions.len()), (1, 4));

    let broken = HELLO.replace("Ok(format!", "Ok(forma!");
    fs::write(project.join("src/lib.rs"), broken).unwrap();
    let said = "cannot find macro `forma` in this scope";
    let ran = deploy(&[], &project, &env);
    assert_eq!((ran.code, &*ran.stdout), (2, ""));
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("error[invalid-source]: `cargo build` of Cargo.toml failed")
    );
    let ran = deploy(&["--json"], &project, &env);
    let problem: Problem = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(
        (ran.code, &*ran.stdout, &*problem.code),
        (2, "", "invalid-source")
    );
    assert!(problem.detail.contains(said), "{}", problem.detail);
}

#[test]
fn what_is_no_component_says_how_to_make_one() {
    let none = project(&[("Cargo.toml", &package("tool", "lib")), ("src/lib.rs", "")]);
    let several = project(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"3\"\n",
        ),
        ("a/Cargo.toml", &package("a", "cdylib")),
        ("a/src/lib.rs", ""),
        ("b/Cargo.toml", &package("b", "cdylib")),
        ("b/src/lib.rs", ""),
    ]);
    let said = [&none, &several].map(|project| {
        let ran = deploy(&["--json"], project.path(), &[]);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{}", ran.stderr);
        let problem: Problem = serde_json::from_str(&ran.stderr).unwrap();
        format!(
            "{}: {}\n  {}",
            problem.code,
            problem.detail,
            problem.hint.unwrap_or_default()
        )
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_missing_toolchain_says_what_to_install() {
    let project = project(&[("Cargo.toml", &package("a", "cdylib")), ("src/lib.rs", "")]);
    let tools = |script: Option<&str>| -> PathBuf {
        let path = project.path().join("bin");
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        if let Some(script) = script {
            let cargo = path.join("cargo");
            fs::write(
                &cargo,
                format!("#!/bin/sh\necho '{script}' >&2\nexit 101\n"),
            )
            .unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&cargo, mode).unwrap();
        }
        path
    };
    // What cargo passes on of rustc when the target is missing or unknown.
    let missing = "= note: the `wasm32-wasip2` target may not be installed";
    let unknown = "could not find specification for target \"wasm32-wasip2\"";
    let said = [None, Some(missing), Some(unknown)].map(|script| {
        let path = tools(script);
        let env = [("PATH", path.to_str().unwrap()), ("EDDY_URL", NOBODY)];
        let ran = deploy(&[], project.path(), &env);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{}", ran.stderr);
        let at = ran.stderr.find("error[").unwrap();
        ran.stderr[at..].to_owned()
    });
    insta::assert_snapshot!(said.join("\n"));
}
