//! The files that cargo may read when it builds a project: those of its folder, and of the folders that it depends on by
//! path. Manifests are read for that and not checked: cargo says what is wrong with them.

use super::MANIFEST;
use crate::compile::project::SourceFile;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use walkdir::{DirEntry, WalkDir};

/// How many files are looked at, and how many folders deep.
const MAX_LOOKED_AT: usize = 4096;
const MAX_DEPTH: usize = 16;
/// How many packages are.
const MAX_PACKAGES: usize = 256;

/// Sources and manifests, not what cargo makes.
pub(crate) fn sources(file: &SourceFile) -> impl Iterator<Item = PathBuf> + use<> {
    let folder = file.path.parent().unwrap_or(Path::new("."));
    let all: BTreeSet<PathBuf> = packages(folder).into_iter().flat_map(files).collect();
    all.into_iter().take(MAX_LOOKED_AT)
}

/// The folder and those that it depends on by path.
fn packages(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    // A member of a workspace may take its dependencies from there.
    for above in folder.ancestors().skip(1) {
        waiting.extend(depends_on(&above.join(MANIFEST), Part::Workspace));
    }
    while let Some(folder) = waiting.pop() {
        if found.len() >= MAX_PACKAGES || !found.insert(folder.clone()) {
            continue;
        }
        for file in files(folder).filter(|file| file.ends_with(MANIFEST)) {
            waiting.extend(depends_on(&file, Part::Whole));
        }
    }
    found
}

/// What of a manifest is meant.
enum Part {
    Whole,
    /// What it says for the members of its workspace.
    Workspace,
}

/// The folders that a manifest names as dependencies; none when it cannot be read.
fn depends_on(manifest: &Path, part: Part) -> Vec<PathBuf> {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let table: Table = toml::from_str(&text).unwrap_or_default();
    let part = match part {
        Part::Whole => Some(&table),
        Part::Workspace => table.get("workspace").and_then(Value::as_table),
    };
    let mut paths = Vec::new();
    if let Some(part) = part {
        dependencies(part, &mut paths);
    }
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let real = paths.iter().map(|path| fs::canonicalize(folder.join(path)));
    real.filter_map(Result::ok).collect()
}

/// `path` of everything in tables that are named like `dependencies`, at any depth: of targets and workspaces, too.
fn dependencies(table: &Table, paths: &mut Vec<String>) {
    for (name, value) in table {
        let Value::Table(inner) = value else { continue };
        if !name.ends_with("dependencies") {
            dependencies(inner, paths);
            continue;
        }
        let path = |dependency: &Value| Some(dependency.get("path")?.as_str()?.to_owned());
        paths.extend(inner.values().filter_map(path));
    }
}

fn files(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    let walk = WalkDir::new(folder)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name();
    walk.into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_made(entry))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(DirEntry::into_path)
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "rs" || end == "toml")
        })
        .take(MAX_LOOKED_AT)
}

/// What cargo makes, and what tools keep.
fn is_made(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    entry.file_type().is_dir() && (name == b"target" || name.starts_with(b"."))
}
