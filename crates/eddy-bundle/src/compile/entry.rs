//! What a path means: a single file, or a folder with its manifest.

use super::manifest;
use super::problem::{BundleError, Problem};
use super::project::{Project, unreadable};
use eddy_types::manifest::ComponentSource;
use eddy_types::{ErrorCode, Manifest, Name};
use std::fs;
use std::path::{Path, PathBuf};

/// Source files that may be given by themselves.
const SOURCES: [&str; 7] = ["ts", "tsx", "mts", "js", "mjs", "jsx", "py"];
/// Where the code of a folder is when its manifest names no component.
const ENTRIES: [&str; 10] = [
    "index.ts",
    "index.js",
    "main.ts",
    "main.js",
    "src/index.ts",
    "src/index.js",
    "main.py",
    "app.py",
    "index.py",
    "Cargo.toml",
];
const MANIFEST: &str = "eddy.toml";

/// What to bundle: where, and as what. Its manifest lists at least one component.
pub(crate) struct Plan {
    pub(crate) project: Project,
    pub(crate) manifest: Manifest,
}

/// Decides what `path` means.
pub(crate) fn plan(path: &Path) -> Result<Plan, BundleError> {
    let shown = path.display().to_string();
    fs::metadata(path).map_err(|error| unreadable(&shown, &error))?;
    match folder_of(path) {
        Some(of) => folder(of),
        None => single(path),
    }
}

/// The files that [`plan`] may look for.
pub(crate) fn beginnings(path: &Path) -> Vec<PathBuf> {
    let Some(folder) = folder_of(path) else {
        return vec![path.to_owned()];
    };
    let names = std::iter::once(&MANIFEST).chain(&ENTRIES);
    names.map(|name| folder.join(name)).collect()
}

/// The project folder that `path` means; none for a single file.
pub(crate) fn folder_of(path: &Path) -> Option<&Path> {
    if path.is_dir() {
        return Some(path);
    }
    let is_manifest = path.file_name().is_some_and(|name| name == MANIFEST);
    is_manifest.then(|| parent(path))
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn single(path: &Path) -> Result<Plan, BundleError> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("");
    let known = SOURCES.contains(&extension) || extension == "wasm";
    let (Some(stem), true) = (path.file_stem(), known) else {
        let shown = path.display();
        return Err(
            Problem::new(format!("{shown} is not something that can be deployed"))
                .hint("Give a .ts, .js or .py file, a .wasm component, or a folder with eddy.toml.")
                .fail(ErrorCode::InvalidArgument),
        );
    };
    // A link is followed here: what is given by name is meant.
    let real =
        fs::canonicalize(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    let Some(file) = real.file_name().and_then(|name| name.to_str()) else {
        return Err(
            Problem::new(format!("the name of {} is not UTF-8", real.display()))
                .hint("Rename it.")
                .fail(ErrorCode::InvalidArgument),
        );
    };
    let mut manifest = Manifest::named(name_from(&stem.to_string_lossy()));
    manifest.components.insert(
        main_component(),
        ComponentSource {
            path: file.to_owned(),
        },
    );
    Ok(Plan {
        project: Project::open(parent(&real))?,
        manifest,
    })
}

fn folder(path: &Path) -> Result<Plan, BundleError> {
    let project = Project::open(path)?;
    let file = path.join(MANIFEST);
    if !file.is_file() {
        return Err(no_manifest(path));
    }
    let text = fs::read_to_string(&file)
        .map_err(|error| unreadable(&file.display().to_string(), &error))?;
    let mut manifest = manifest::parse(MANIFEST, &text)?;
    if manifest.components.is_empty() {
        let entry = find_entry(&project)?;
        manifest.components.insert(
            main_component(),
            ComponentSource {
                path: entry.to_owned(),
            },
        );
    }
    Ok(Plan { project, manifest })
}

fn no_manifest(path: &Path) -> BundleError {
    let name = fs::canonicalize(path).ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy());
    let name = name_from(&name.unwrap_or_default());
    Problem::new(format!("{} has no {MANIFEST}", path.display()))
        .hint(format!(
            "Make one; the least it holds is the line: name = \"{name}\""
        ))
        .fail(ErrorCode::InvalidManifest)
}

fn find_entry(project: &Project) -> Result<&'static str, BundleError> {
    ENTRIES
        .into_iter()
        .find(|entry| project.file(Path::new(entry)).is_ok())
        .ok_or_else(|| {
            let tried = ENTRIES.join(", ");
            Problem::new(format!(
                "{MANIFEST} names no component, and none of these is there: {tried}"
            ))
            .hint("Say where the code is: [components.main] path = \"your-file.ts\"")
            .fail(ErrorCode::InvalidManifest)
        })
}

fn main_component() -> Name {
    Name::new("main").expect("`main` is a valid name")
}

/// A valid name that resembles `text`.
fn name_from(text: &str) -> Name {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut name: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name.truncate(eddy_types::limits::MAX_NAME_BYTES);
    Name::new(&name).expect("only allowed characters are left, a good one first, not too many")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_resemble_their_files() {
        for (text, name) in [
            ("counter", "counter"),
            ("my.app v2", "my-app-v2"),
            ("2048", "_2048"),
            ("", "_"),
        ] {
            assert_eq!(name_from(text).as_str(), name);
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_valid_name(text in ".{0,100}") {
            prop_assert!(Name::new(name_from(&text).as_str()).is_ok());
        }
    }
}
