//! Test files of a project: each becomes a component beside the app, whose functions list and run its
//! tests. `eddy/test` is there for them only.

use super::problem::{BundleError, Problem};
use super::project::{Budget, Project, unreadable};
use super::{BundledCode, JsModule, entry, graph};
use eddy_types::ErrorCode;
use std::fs;
use std::path::{Path, PathBuf};

/// What test files import.
pub(crate) const SPECIFIER: &str = "eddy/test";
/// Its name as a module.
pub(crate) const MODULE: &str = "__eddy_test.js";
const SOURCE: &str = include_str!("../../../../sdk/js/eddy-test.js");
/// How the names of test files end.
const ENDINGS: [&str; 4] = [".test.ts", ".test.mts", ".test.js", ".test.mjs"];
/// Folders that hold no tests of the project.
const SKIPPED: [&str; 3] = ["node_modules", "target", "vendor"];
/// Test files that one run takes.
const MOST: usize = 1000;

/// The function of a test component that lists its tests.
pub const LIST_TESTS: &str = "eddy_test_list";
/// The function of a test component that runs one, by its name.
pub const RUN_TEST: &str = "eddy_test_run";

/// A file of tests, ready to run beside its app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFile {
    /// Its path, relative to the project, with `/`.
    pub name: String,
    /// A component whose functions are [`LIST_TESTS`] and [`RUN_TEST`].
    pub code: BundledCode,
}

/// The test files of what [`super::bundle`] takes: all of a folder and those below it, or those beside
/// a single file. In the order of their names.
///
/// Errors: as for `bundle`.
pub fn test_files(path: &Path) -> Result<Vec<TestFile>, BundleError> {
    let project = entry::plan(path)?.project.with_tests();
    let mut found = Vec::new();
    search(&project, Path::new(""), &mut found)?;
    found.sort();
    if found.len() > MOST {
        let detail = format!("the project has more than {MOST} test files");
        return Err(Problem::new(detail)
            .hint("Run those of one folder: eddy test FOLDER.")
            .fail(ErrorCode::LimitExceeded));
    }
    found
        .into_iter()
        .map(|name| test_file(&project, name))
        .collect()
}

fn search(project: &Project, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), BundleError> {
    let here = project.path(folder);
    let failed = |error| unreadable(&here.display().to_string(), &error);
    for entry in fs::read_dir(&here).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(text) = name.to_str() else { continue };
        if text.starts_with('.') || SKIPPED.contains(&text) {
            continue;
        }
        // Links are not followed: they may go round.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            search(project, &folder.join(text), found)?;
        } else if kind.is_file() && ENDINGS.iter().any(|ending| text.ends_with(ending)) {
            found.push(folder.join(text));
        }
    }
    Ok(())
}

fn test_file(project: &Project, path: PathBuf) -> Result<TestFile, BundleError> {
    let file = project.file(&path).map_err(|_| {
        Problem::new(format!("{} is gone", path.display())).fail(ErrorCode::InvalidSource)
    })?;
    let name = file.name.clone();
    let tests = graph::modules(project, file, &mut Budget::default())?;
    let entry = JsModule {
        name: "__eddy_test_main.js".to_owned(),
        source: format!(
            "import {name:?};\nexport {{ list as {LIST_TESTS}, run as {RUN_TEST} }} from {MODULE:?};\n"
        ),
        source_map: None,
    };
    let support = JsModule {
        name: MODULE.to_owned(),
        source: SOURCE.to_owned(),
        source_map: None,
    };
    let modules = [entry].into_iter().chain(tests).chain([support]);
    Ok(TestFile {
        name,
        code: BundledCode::Js {
            modules: modules.collect(),
        },
    })
}
