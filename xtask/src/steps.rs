//! The steps of each task. Every step is a command that can be pasted by hand.

use crate::tools;
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// What pages link to outside of `docs`. A test of the book holds this and the links together.
const BESIDE_THE_BOOK: [&str; 4] = [
    "sdk/js/eddy-test.d.ts",
    "sdk/js/eddy.d.ts",
    "sdk/python/eddy/__init__.py",
    "wit/platform.wit",
];

/// All checks and all tests, cheapest first. With arguments: only the tests, and those are handed
/// to the test runner (`cargo xtask test -E 'test(crash)'`).
pub(crate) fn test(filter: &[String]) -> Result<()> {
    if filter.is_empty() {
        run("cargo", &["fmt", "--all", "--check"])?;
        clippy()?;
        let deny = tools::CARGO_DENY.path()?;
        let deny = deny.to_string_lossy();
        run(
            &deny,
            &["--workspace", "check", "licenses", "bans", "sources"],
        )?;
        docs()?;
        examples()?;
        python_runtime()?;
        tools::native()?;
    }
    tools::wasm_target()?;
    let guest = "guests/behaviour/rust/Cargo.toml";
    run("cargo", &["fetch", "--locked", "--manifest-path", guest])?;
    tests(filter)
}

/// The examples in the docs of the Rust SDK, which nextest does not run.
fn examples() -> Result<()> {
    run("cargo", &["test", "--doc", "--locked", "-p", "eddy-sdk"])
}

fn clippy() -> Result<()> {
    run(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )
}

fn docs() -> Result<()> {
    let mut doc = command("cargo", &["doc", "--workspace", "--no-deps", "--locked"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    run_command(doc)
}

/// What tests of Python apps need: made visibly, because the first time on a machine it installs something into the
/// user's cache.
fn python_runtime() -> Result<()> {
    run(
        "cargo",
        &[
            "test",
            "--workspace",
            "--locked",
            "--test",
            "it",
            "--quiet",
            "python::the_runtime_is_built",
            "--",
            "--nocapture",
        ],
    )
}

fn tests(filter: &[String]) -> Result<()> {
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    if tools::has_nextest() {
        run(
            "cargo",
            &[&["nextest", "run", "--workspace", "--locked"][..], &filter].concat(),
        )?;
    } else {
        eprintln!("xtask: cargo-nextest is not installed; using `cargo test`");
        run(
            "cargo",
            &[
                &[
                    "test",
                    "--workspace",
                    "--locked",
                    "--lib",
                    "--bins",
                    "--tests",
                ][..],
                &filter,
            ]
            .concat(),
        )?;
    }
    Ok(())
}

/// The benchmarks, in release mode.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    run(
        "cargo",
        &[
            "build",
            "--release",
            "--locked",
            "-p",
            "eddy",
            "-p",
            "eddy-bench",
        ],
    )?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(
        "cargo",
        &[
            &[
                "run",
                "--release",
                "--locked",
                "-q",
                "-p",
                "eddy-bench",
                "--",
            ][..],
            &args,
        ]
        .concat(),
    )
}

/// What is built ahead and checked in: the bindings of the Rust SDK, the JavaScript runtime, and the guests of tests
/// and benchmarks.
pub(crate) fn guests() -> Result<()> {
    let bindgen = "sdk/rust-bindgen/Cargo.toml";
    run(
        "cargo",
        &["run", "--locked", "-q", "--manifest-path", bindgen],
    )?;
    run("bash", &["guests/js-runtime/build.sh"])?;
    let rust = ["bench-guest", "files-guest", "hostile-guest", "http-guest"];
    run("bash", &[&["guests/build.sh"], &rust[..]].concat())
}

/// The book in HTML, in the build folder. Links to files outside of `docs` work, too: they lie beside it as they do here.
pub(crate) fn book() -> Result<()> {
    let book = tools::target().join("book");
    let _ = std::fs::remove_dir_all(&book);
    let pages = book.join("docs");
    let mdbook = tools::MDBOOK.path()?;
    let pages_text = pages.to_string_lossy();
    run(
        &mdbook.to_string_lossy(),
        &["build", "docs", "--dest-dir", &pages_text],
    )?;
    for file in BESIDE_THE_BOOK {
        let to = book.join(file);
        let folder = to.parent().context("a file is in a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::copy(tools::root().join(file), &to).with_context(|| file.to_owned())?;
    }
    eprintln!("xtask: the book is {}", pages.join("index.html").display());
    Ok(())
}

/// docs/openapi.json, from the code.
pub(crate) fn openapi() -> Result<()> {
    // The whole workspace, so that the tests' build is used as it is.
    let mut test = command(
        "cargo",
        &["test", "-q", "--workspace", "--tests", "openapi"],
    );
    test.env("EDDY_UPDATE_DOCS", "1");
    run_command(test)
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    run_command(command(program, args))
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(tools::root());
    command
}

fn run_command(mut command: Command) -> Result<()> {
    eprintln!("xtask: {command:?}");
    // Cargo says them of this program. Some build scripts look at them: they would run again, and what depends on them
    // would be built again, whenever a command comes from here after one from a shell, or the other way around.
    for (name, _) in std::env::vars_os() {
        let said = name.to_string_lossy();
        if said.starts_with("CARGO_PKG_") || said.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let status = command
        .status()
        .with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
