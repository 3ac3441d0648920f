//! The folder that a bundle is made of. Nothing outside it is read, not even through a link.

use super::problem::{BundleError, Problem};
use eddy_types::limits::MAX_DEPLOY_BYTES;
use eddy_types::{ErrorCode, Name};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, io};

/// A project folder, links resolved.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    root: PathBuf,
    /// Whether its modules may import `eddy/test`.
    tests: bool,
    /// Paths that were looked for, found or not. Shared by all clones.
    looked_at: Rc<RefCell<BTreeSet<PathBuf>>>,
}

/// A file inside a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Where it is, links resolved.
    pub(crate) path: PathBuf,
    /// Its path relative to the project, with `/`.
    pub(crate) name: String,
}

/// Why a path is not a file of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    Outside,
    NotUtf8,
}

/// What npm, pnpm and Yarn write when they install packages.
const INSTALLED: [&str; 6] = [
    "package.json",
    "node_modules",
    "node_modules/.package-lock.json",
    "node_modules/.modules.yaml",
    "node_modules/.yarn-integrity",
    "node_modules/.yarn-state.yml",
];

/// Bytes that a bundle may still send.
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_DEPLOY_BYTES)
    }
}

impl Budget {
    /// Takes `bytes` off, for the file `name`.
    fn take(&mut self, bytes: usize, name: &str) -> Result<(), BundleError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            let limit = MAX_DEPLOY_BYTES >> 20;
            Problem::new(format!(
                "the app is larger than {limit} MiB as it is sent, WebAssembly in base64; {name} is beyond it"
            ))
            .hint("Leave out what the code does not need, or split the app.")
            .fail(ErrorCode::PayloadTooLarge)
        })?;
        Ok(())
    }
}

impl Project {
    /// The project in the folder `root`.
    pub(crate) fn open(root: &Path) -> Result<Self, BundleError> {
        match fs::canonicalize(root) {
            Ok(root) => Ok(Self {
                root,
                tests: false,
                looked_at: Rc::default(),
            }),
            Err(error) => Err(unreadable(&root.display().to_string(), &error)),
        }
    }

    /// The same project, for its test files.
    pub(crate) fn with_tests(self) -> Self {
        Self {
            tests: true,
            ..self
        }
    }

    /// Whether its modules may import `eddy/test`.
    pub(crate) fn has_tests(&self) -> bool {
        self.tests
    }

    /// Its folder, links resolved.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the project is.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// The file at `path`, relative to the project.
    pub(crate) fn file(&self, path: &Path) -> Result<SourceFile, Refusal> {
        let path = self.root.join(path);
        if !path.strip_prefix(&self.root).is_ok_and(is_of_package) {
            self.looked_at.borrow_mut().insert(path.clone());
        }
        let found = fs::canonicalize(path).map_err(|_| Refusal::Missing)?;
        let inside = found
            .strip_prefix(&self.root)
            .map_err(|_| Refusal::Outside)?;
        let parts: Option<Vec<_>> = inside.iter().map(|part| part.to_str()).collect();
        let name = parts.ok_or(Refusal::NotUtf8)?.join("/");
        match found.is_file() {
            true => Ok(SourceFile { path: found, name }),
            false => Err(Refusal::Missing),
        }
    }

    /// Packages are looked at. What installs them changes at least one of these files when it is done, and each
    /// file of each package is more than can be watched.
    pub(crate) fn note_packages(&self) {
        let marks = INSTALLED.iter().map(|mark| self.root.join(mark));
        self.note(marks);
    }

    /// Also these are looked at, by a tool that builds.
    pub(crate) fn note(&self, paths: impl Iterator<Item = PathBuf>) {
        self.looked_at.borrow_mut().extend(paths);
    }

    /// The paths that were looked for so far, and what links among them lead to.
    pub(crate) fn looked_at(&self) -> Vec<PathBuf> {
        let paths = self.looked_at.borrow();
        let real = paths.iter().filter_map(|path| fs::canonicalize(path).ok());
        paths.iter().cloned().chain(real).collect()
    }

    /// The file that a component's `path` names.
    pub(crate) fn component(&self, name: &Name, path: &str) -> Result<SourceFile, BundleError> {
        let why = match self.file(Path::new(path)) {
            Ok(file) => return Ok(file),
            Err(Refusal::Missing) => "there is no such file",
            Err(Refusal::Outside) => "it is outside the project folder",
            Err(Refusal::NotUtf8) => "its name is not UTF-8",
        };
        Err(Problem::new(format!(
            "component `{name}`: {path:?} cannot be used: {why}"
        ))
        .hint("`path` is relative to the folder of eddy.toml, and stays inside it.")
        .fail(ErrorCode::InvalidManifest))
    }
}

impl SourceFile {
    /// Whether its name says WebAssembly.
    pub(crate) fn is_wasm(&self) -> bool {
        self.name.ends_with(".wasm")
    }

    /// Whether it belongs to a package, not to the user's own code.
    pub(crate) fn is_of_package(&self) -> bool {
        is_of_package(Path::new(&self.name))
    }

    /// The name of the package that it belongs to.
    pub(crate) fn package(&self) -> Option<String> {
        let (_, inside) = self.name.rsplit_once("node_modules/")?;
        let parts = if inside.starts_with('@') { 2 } else { 1 };
        let parts: Vec<_> = inside.split('/').take(parts).collect();
        Some(parts.join("/"))
    }

    /// Its bytes, when they still fit.
    pub(crate) fn read(&self, budget: &mut Budget) -> Result<Vec<u8>, BundleError> {
        let failed = |error| unreadable(&self.name, &error);
        let size = fs::metadata(&self.path).map_err(failed)?.len();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let sent = match self.is_wasm() {
            // As base64.
            true => size.div_ceil(3).saturating_mul(4),
            false => size,
        };
        budget.take(sent, &self.name)?;
        fs::read(&self.path).map_err(failed)
    }

    /// Its text, when it still fits and is UTF-8.
    pub(crate) fn read_text(&self, budget: &mut Budget) -> Result<String, BundleError> {
        String::from_utf8(self.read(budget)?).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::new(format!("{} is not UTF-8 (byte {at})", self.name))
                .hint("Save it as UTF-8.")
                .fail(ErrorCode::InvalidSource)
        })
    }
}

/// Whether a path relative to the project is in a folder of packages.
pub(crate) fn is_of_package(path: &Path) -> bool {
    path.iter().any(|part| part == "node_modules")
}

/// A file or folder that is there but cannot be read, or is not there.
pub(crate) fn unreadable(what: &str, error: &io::Error) -> BundleError {
    Problem::new(format!("{what} cannot be read: {error}"))
        .hint("Check the path and its permissions.")
        .fail(ErrorCode::InvalidArgument)
}
