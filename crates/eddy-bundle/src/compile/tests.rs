//! Test files of a project: each becomes a component beside the app, whose functions list and run its
//! tests. `eddy/test` is there for them only.

use super::problem::{BundleError, Problem};
use super::project::{Budget, Project, unreadable};
use super::{BundledCode, JsModule, entry, graph};
use eddy_types::ErrorCode;
use std::path::{Path, PathBuf};
use std::{fs, io};

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

/// The tests of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestFiles {
    /// In the order of their names.
    pub files: Vec<TestFile>,
    /// Folders that could not be read, and so were not searched: their paths relative to the project.
    pub unread: Vec<String>,
}

/// The test files of what [`super::bundle`] takes: all of a folder and those below it, or those beside
/// a single file.
///
/// Errors: as for `bundle`; `limit-exceeded` beyond 1000 files.
pub fn test_files(path: &Path) -> Result<TestFiles, BundleError> {
    let project = entry::plan(path)?.project.with_tests();
    let mut search = Search {
        project: &project,
        below: entry::folder_of(path).is_some(),
        found: Vec::new(),
        unread: Vec::new(),
    };
    let here = project.root().display().to_string();
    let read = search.folder(Path::new(""));
    read.map_err(|error| unreadable(&here, &error))?;
    let (mut found, mut unread) = (search.found, search.unread);
    found.sort();
    unread.sort();
    if found.len() > MOST {
        let detail = format!("the project has more than {MOST} test files");
        return Err(Problem::new(detail)
            .hint("Join some of them: a file may hold many tests.")
            .fail(ErrorCode::LimitExceeded));
    }
    let files = found.into_iter().map(|name| test_file(&project, name));
    Ok(TestFiles {
        files: files.collect::<Result<_, _>>()?,
        unread,
    })
}

/// Looks for test files.
struct Search<'p> {
    project: &'p Project,
    /// Whether also in the folders below: what lies below a single file's folder may be anything.
    below: bool,
    found: Vec<PathBuf>,
    unread: Vec<String>,
}

impl Search<'_> {
    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(self.project.path(folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(text) = name.to_str() else { continue };
            if text.starts_with('.') || SKIPPED.contains(&text) {
                continue;
            }
            let path = folder.join(text);
            // Links are not followed: they may go round.
            let kind = entry.file_type()?;
            if kind.is_dir() && self.below {
                if self.folder(&path).is_err() {
                    self.unread.push(path.display().to_string());
                }
            } else if kind.is_file() && ENDINGS.iter().any(|ending| text.ends_with(ending)) {
                self.found.push(path);
            }
        }
        Ok(())
    }
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
