//! Rust projects: builds a `Cargo.toml` with the user's own cargo, and finds the component among what it made.
//! What the compiler says is passed on as it is. Installing a toolchain is left to the user. Which files a build may read
//! is in `sources`.

mod sources;

pub(crate) use sources::sources;

use super::problem::{BundleError, Problem};
use super::project::{Budget, SourceFile};
use super::wasm;
use eddy_types::ErrorCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What components are built for.
const TARGET: &str = "wasm32-wasip2";
/// The file that says that a component is a Rust project.
const MANIFEST: &str = "Cargo.toml";
/// The longest line of cargo's that is read as one.
const MAX_LINE: u64 = 1 << 20;
/// How much of what cargo says is kept for the error: its end, where the errors are.
const MAX_SAID: usize = 64 << 10;

/// Who is told, line by line, what a tool says while it works.
pub(crate) type Tell<'a> = Option<&'a dyn Fn(&str)>;

/// Whether a component's file is a Rust project.
pub(crate) fn is_project(file: &SourceFile) -> bool {
    file.path.file_name().is_some_and(|name| name == MANIFEST)
}

/// Builds the project and reads its component.
pub(crate) fn build(
    file: &SourceFile,
    tell: Tell<'_>,
    budget: &mut Budget,
) -> Result<Vec<u8>, BundleError> {
    let (status, cargo) = run(file, tell).map_err(|error| not_started(&error))?;
    if !status.success() {
        return Err(failed(file, status, &cargo.said(), tell.is_some()));
    }
    let artifact = cargo.component(file)?;
    wasm::read(&artifact, budget)
}

fn run(file: &SourceFile, tell: Tell<'_>) -> io::Result<(ExitStatus, Cargo)> {
    // One pipe for both, so that one reader is enough: cargo writes whole lines from one thread.
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&file.path)
        .current_dir(file.path.parent().unwrap_or(Path::new(".")))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    if tell.is_some() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
        // Whoever is told takes colours off where they do not belong.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command.spawn()?;
    // The writers that it holds: the pipe ends when cargo does.
    drop(command);
    let mut cargo = Cargo::default();
    let read = cargo.read(reader, tell);
    let status = child.wait()?;
    read?;
    Ok((status, cargo))
}

/// A message of cargo's, as far as it is looked at.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    kind: Vec<String>,
}

/// What cargo said and made.
#[derive(Default)]
struct Cargo {
    said: Vec<u8>,
    /// Components, by the manifest of their package.
    made: BTreeMap<PathBuf, PathBuf>,
}

impl Cargo {
    fn read(&mut self, reader: PipeReader, tell: Tell<'_>) -> io::Result<()> {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            match serde_json::from_slice::<Message>(&line) {
                Ok(message) => self.keep(message),
                Err(_) => self.hear(&line, tell),
            }
        }
    }

    fn keep(&mut self, message: Message) {
        let is_library = message.target.kind.iter().any(|kind| kind == "cdylib");
        if message.reason != "compiler-artifact" || !is_library {
            return;
        }
        let mut files = message.filenames.into_iter();
        if let Some(file) = files.find(|file| file.extension().is_some_and(|end| end == "wasm")) {
            self.made.insert(message.manifest_path, file);
        }
    }

    fn hear(&mut self, line: &[u8], tell: Tell<'_>) {
        if let Some(tell) = tell {
            tell(String::from_utf8_lossy(line).trim_end());
        }
        self.said.extend_from_slice(line);
        if self.said.len() > 2 * MAX_SAID {
            self.said.drain(..self.said.len() - MAX_SAID);
        }
    }

    /// The end of what it said.
    fn said(&self) -> String {
        let end = &self.said[self.said.len().saturating_sub(MAX_SAID)..];
        String::from_utf8_lossy(end).trim_end().to_owned()
    }

    /// The component of the project: its package's own, or the only one of a workspace.
    fn component(self, file: &SourceFile) -> Result<SourceFile, BundleError> {
        let folder = file.path.parent().unwrap_or(Path::new("/"));
        let mut made = self.made;
        if let Some(own) = made.remove(&file.path) {
            return Ok(artifact(own));
        }
        // Dependencies can be libraries of this kind, too; what lies in the folder is the user's.
        made.retain(|manifest, _| manifest.starts_with(folder));
        let name = &file.name;
        match made.len() {
            1 => Ok(made.into_values().next().map(artifact).expect("there is one")),
            0 => Err(Problem::new(format!(
                "{name} builds no component: no package of it is a library of the kind `cdylib`"
            ))
            .hint("Add these lines to it: [lib] and crate-type = [\"cdylib\"]; what `eddy_sdk::export!` lists belongs into src/lib.rs.")
            .fail(ErrorCode::InvalidSource)),
            _ => {
                let paths = made.keys().map(|path| path.strip_prefix(folder).unwrap_or(path));
                let paths: Vec<_> = paths.map(|path| path.display().to_string()).collect();
                Err(Problem::new(format!(
                    "{name} is a workspace of several components: {}",
                    paths.join(", ")
                ))
                .hint(format!(
                    "List those that belong to the app: [components.main] path = \"{}\"",
                    paths[0]
                ))
                .fail(ErrorCode::InvalidManifest))
            }
        }
    }
}

/// A file that cargo made. It may lie outside of the project, where cargo's build folder is.
fn artifact(path: PathBuf) -> SourceFile {
    let name = path.display().to_string();
    SourceFile { path, name }
}

fn not_started(error: &io::Error) -> BundleError {
    if error.kind() != io::ErrorKind::NotFound {
        return Problem::new(format!("`cargo build` does not start: {error}"))
            .hint("Try `cargo --version` in the project's folder.")
            .fail(ErrorCode::ToolchainMissing);
    }
    Problem::new("Rust projects are built with cargo, and there is no `cargo` on the path")
        .hint(format!(
            "Install Rust from https://rustup.rs, then: rustup target add {TARGET}"
        ))
        .fail(ErrorCode::ToolchainMissing)
}

fn failed(file: &SourceFile, status: ExitStatus, said: &str, told: bool) -> BundleError {
    // Words of rustc's: when the standard library of the target is not there, and when it has never heard of it.
    let lacks = said.contains("target may not be installed");
    let too_old = said.contains("could not find specification for target");
    if lacks || too_old {
        let problem = Problem::new(format!(
            "this Rust toolchain cannot build for {TARGET}, which components are built for"
        ));
        let hint = match lacks {
            true => format!(
                "Run: rustup target add {TARGET}. Without rustup: install your distribution's package for the target, or use https://rustup.rs."
            ),
            false => "It is too old, 1.82 is the first. Run: rustup update".to_owned(),
        };
        return problem.hint(hint).fail(ErrorCode::ToolchainMissing);
    }
    let name = &file.name;
    let text = match told {
        true => format!("`cargo build` of {name} failed ({status}); it says above why"),
        false => format!("`cargo build` of {name} failed ({status}):\n{said}"),
    };
    Problem::new(text)
        .hint("Correct what cargo shows, and deploy again.")
        .fail(ErrorCode::InvalidSource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &str) -> Cargo {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        io::Write::write_all(&mut writer, lines.as_bytes()).expect("it fits the pipe");
        drop(writer);
        let mut cargo = Cargo::default();
        cargo.read(reader, None).expect("it reads");
        cargo
    }

    fn made(manifest: &str, kind: &str, file: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"{manifest}","target":{{"kind":["{kind}"]}},"filenames":["{file}"]}}"#
        ) + "\n"
    }

    fn file(path: &str) -> SourceFile {
        SourceFile {
            path: path.into(),
            name: "Cargo.toml".to_owned(),
        }
    }

    #[test]
    fn the_projects_own_component_is_found_among_others() {
        let lines = made("/else/Cargo.toml", "cdylib", "/t/else.wasm")
            + "warning: unused\n"
            + &made("/p/Cargo.toml", "cdylib", "/t/p.wasm")
            + &made("/p/Cargo.toml", "bin", "/t/tool.wasm");
        let cargo = heard(&lines);
        assert_eq!(cargo.said(), "warning: unused");
        let found = cargo
            .component(&file("/p/Cargo.toml"))
            .expect("it is there");
        assert_eq!(found.path, Path::new("/t/p.wasm"));
        // A workspace with one, beside a dependency's.
        let cargo = heard(&lines.replace("/p/Cargo.toml", "/p/app/Cargo.toml"));
        let found = cargo
            .component(&file("/p/Cargo.toml"))
            .expect("it is there");
        assert_eq!(found.path, Path::new("/t/p.wasm"));
    }

    #[test]
    fn none_and_several_are_refused() {
        let none = heard(&made("/p/Cargo.toml", "bin", "/t/tool.wasm"));
        let error = none.component(&file("/p/Cargo.toml")).expect_err("none");
        assert_eq!(error.code, ErrorCode::InvalidSource);
        let lines = made("/p/a/Cargo.toml", "cdylib", "/t/a.wasm")
            + &made("/p/b/Cargo.toml", "cdylib", "/t/b.wasm");
        let error = heard(&lines).component(&file("/p/Cargo.toml"));
        let error = error.expect_err("several").to_string();
        assert!(error.contains("a/Cargo.toml, b/Cargo.toml"), "{error}");
    }

    #[test]
    fn what_cargo_says_is_kept_from_its_end() {
        let mut cargo = Cargo::default();
        for n in 0..100_000 {
            cargo.hear(format!("line {n}\n").as_bytes(), None);
        }
        let said = cargo.said();
        assert!(said.len() <= MAX_SAID && said.ends_with("line 99999"));
    }
}
