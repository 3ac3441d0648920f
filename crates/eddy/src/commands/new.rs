//! `eddy new`: a project to begin with. Each language is a folder in `templates`, which is part of the
//! binary; `{{name}}` in a file is the app's name, a file `gitignore` becomes `.gitignore`, and `.tpl` at the
//! end of a name goes. What a language needs of its SDK comes along: nothing of it has to be published.

use crate::args::NewArgs;
use crate::exit::Failed;
use crate::output::Output;
use eddy_types::{EddyError, ErrorCode, Name};
use include_dir::{Dir, include_dir};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
/// The types of the modules `eddy` and `eddy/test`, as this binary has them.
const TYPES: [(&str, &str); 2] = [
    ("eddy.d.ts", include_str!("../../../../sdk/js/eddy.d.ts")),
    (
        "eddy-test.d.ts",
        include_str!("../../../../sdk/js/eddy-test.d.ts"),
    ),
];
static RUST_SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/rust");
/// What a project needs of it: not its own tests.
const RUST_PARTS: [&str; 5] = [
    "eddy-sdk/Cargo.toml",
    "eddy-sdk/src/",
    "eddy-sdk/wit/",
    "eddy-sdk-macros/Cargo.toml",
    "eddy-sdk-macros/src/",
];
static PYTHON_SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/python/eddy");

/// What `--json` prints.
#[derive(Serialize)]
struct Made {
    path: PathBuf,
    /// Relative to `path`.
    files: Vec<String>,
}

/// The languages there are templates for.
pub(crate) fn languages() -> Vec<&'static str> {
    TEMPLATES
        .dirs()
        .filter_map(|dir| dir.path().to_str())
        .collect()
}

pub(crate) fn run(args: &NewArgs, output: &Output) -> Result<(), Failed> {
    let name = app_name(&args.path)?;
    refuse_what_is_there(&args.path)?;
    let made = Made {
        path: args.path.clone(),
        files: write(&args.path, &files(&args.language, &name))
            .map_err(|error| not_made(&args.path, &error))?,
    };
    output.data(&made, || {
        made.files
            .iter()
            .map(|file| args.path.join(file).display().to_string() + "\n")
            .collect()
    })?;
    let path = args.path.display();
    output.say(format_args!("made {name}; next: eddy dev {path}"));
    Ok(())
}

/// The app is named like its folder, also where that is `.`.
fn app_name(path: &Path) -> Result<Name, EddyError> {
    let real = match path.file_name() {
        Some(_) => path.to_owned(),
        None => path
            .canonicalize()
            .map_err(|error| not_made(path, &error))?,
    };
    let last = real.file_name().and_then(|last| last.to_str());
    Name::new(last.unwrap_or_default())
}

fn refuse_what_is_there(path: &Path) -> Result<(), EddyError> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(not_made(path, &error)),
        Ok(entries) => entries,
    };
    if entries.count() == 0 {
        return Ok(());
    }
    let detail = format!("the folder {} is not empty", path.display());
    Err(EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Choose another name, or empty the folder first."))
}

/// The files of a new project, by their paths within it.
fn files(language: &str, name: &Name) -> Vec<(String, String)> {
    let mut files = Vec::new();
    if let Some(template) = TEMPLATES.get_dir(language) {
        gather(template, language, name, &mut files);
    }
    match language {
        "rust" => gather_sdk(&RUST_SDK, "sdk", &mut files),
        "python" => gather_sdk(&PYTHON_SDK, "typings/eddy", &mut files),
        _ => files.extend(TYPES.map(|(path, text)| (path.to_owned(), text.to_owned()))),
    }
    files.sort();
    files
}

/// The files of an SDK, below `folder`.
fn gather_sdk(dir: &Dir<'_>, folder: &str, files: &mut Vec<(String, String)>) {
    for file in dir.files() {
        let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) else {
            continue;
        };
        let wanted = match folder {
            "sdk" => RUST_PARTS.iter().any(|part| path.starts_with(part)),
            _ => !path.contains("__pycache__"),
        };
        if wanted {
            files.push((format!("{folder}/{path}"), text.to_owned()));
        }
    }
    for inner in dir.dirs() {
        gather_sdk(inner, folder, files);
    }
}

fn gather(dir: &Dir<'_>, language: &str, name: &Name, files: &mut Vec<(String, String)>) {
    for file in dir.files() {
        let path = file.path().strip_prefix(language).unwrap_or(file.path());
        let (Some(path), Some(text)) = (path.to_str(), file.contents_utf8()) else {
            continue;
        };
        let path = match path.strip_suffix("gitignore") {
            Some(folder) if folder.is_empty() || folder.ends_with('/') => {
                format!("{folder}.gitignore")
            }
            _ => path.strip_suffix(".tpl").unwrap_or(path).to_owned(),
        };
        files.push((path, text.replace("{{name}}", name.as_str())));
    }
    for inner in dir.dirs() {
        gather(inner, language, name, files);
    }
}

fn write(root: &Path, files: &[(String, String)]) -> io::Result<Vec<String>> {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        std::fs::write(path, text)?;
    }
    Ok(files.iter().map(|(path, _)| path.clone()).collect())
}

fn not_made(path: &Path, error: &io::Error) -> EddyError {
    let detail = format!("the project cannot be made in {}: {error}", path.display());
    EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Choose a place that this user may write.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_what_a_project_needs() {
        let name = Name::new("shop").expect("a name");
        for language in languages() {
            let files = files(language, &name);
            let text = |wanted: &str| {
                let found = files.iter().find(|(path, _)| path == wanted);
                &found.unwrap_or_else(|| panic!("{language}: no {wanted}")).1
            };
            assert!(text("eddy.toml").contains("name = \"shop\""), "{language}");
            assert!(text("eddy.toml").contains("[[examples]]"), "{language}");
            assert!(text(".gitignore").contains(".eddy"), "{language}");
            assert!(text("README.md").starts_with("# shop\n"), "{language}");
            assert!(
                files.iter().all(|(_, text)| !text.contains("{{name}}")),
                "{language}"
            );
        }
    }
}
