//! Packages of `node_modules`: which file an import of one means. Node's rules, as bundlers for the
//! browser apply them, for guests have web APIs and no Node.js. What an import in the user's own files
//! means is decided in `imports`.

mod json;
mod lookup;
mod node;
mod targets;

use super::imports::BadImport;
use super::project::{Project, SourceFile, is_of_package};
use json::Json;
use lookup::Lookup;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The folder of packages.
const FOLDER: &str = "node_modules";
/// A `package.json` larger than this is not read.
const MAX_PACKAGE_JSON_BYTES: u64 = 4 << 20;

/// How a module asks for another one: packages may answer each way with another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `import`.
    Import,
    /// `require`.
    Require,
}

/// What an import of a package means.
#[derive(Debug)]
pub(crate) enum Found {
    /// A file, links not resolved.
    File(PathBuf),
    /// The package says that it is empty here (`"browser": { "./it": false }`).
    Nothing,
}

/// Looks packages up.
#[derive(Default)]
pub(crate) struct Packages {
    /// The `package.json` of each folder, if there is one.
    read: RefCell<BTreeMap<PathBuf, Option<Rc<Json>>>>,
    /// Folders of packages that `node_modules` links to from elsewhere in the project, as workspaces do.
    linked: RefCell<BTreeSet<PathBuf>>,
}

impl Packages {
    /// The file that `specifier` means in the file `importer`.
    pub(crate) fn find(
        &self,
        project: &Project,
        importer: &SourceFile,
        specifier: &str,
        how: How,
    ) -> Result<Found, BadImport> {
        let folder = importer.path.parent().unwrap_or(Path::new("/"));
        let known = self.linked.borrow().len();
        let found = Lookup::new(self, project.root(), specifier, how).named(folder, specifier);
        let linked = self.linked.borrow();
        if linked.len() > known {
            project.note(linked.iter().map(|own| own.join("package.json")));
        }
        found
    }

    /// Whether the file belongs to a package: it is in `node_modules`, or that has a link to where it is.
    pub(crate) fn own(&self, file: &SourceFile) -> bool {
        file.is_of_package() || self.is_linked(file)
    }

    /// Whether the file belongs to a package that is elsewhere in the project.
    pub(crate) fn is_linked(&self, file: &SourceFile) -> bool {
        let linked = self.linked.borrow();
        !linked.is_empty() && file.path.ancestors().any(|folder| linked.contains(folder))
    }

    /// The package in this folder was found through `node_modules`.
    fn found_at(&self, own: &Path, root: &Path) {
        let inside = own.strip_prefix(root);
        if inside.is_ok_and(|inside| !is_of_package(inside) && inside != Path::new("")) {
            self.linked.borrow_mut().insert(own.to_owned());
        }
    }

    /// Whether Node.js takes the file for an ES module whatever it holds: its package says so.
    pub(crate) fn says_module(&self, project: &Project, file: &SourceFile) -> bool {
        let scope = self.scope(project.root(), &file.path);
        scope.is_some_and(|(_, json)| json.text("type") == Some("module"))
    }

    /// The `package.json` of a folder.
    fn json(&self, folder: &Path) -> Option<Rc<Json>> {
        if let Some(known) = self.read.borrow().get(folder) {
            return known.clone();
        }
        let json = read(&folder.join("package.json")).map(Rc::new);
        self.read
            .borrow_mut()
            .insert(folder.to_owned(), json.clone());
        json
    }

    /// The package that a file belongs to: its folder and `package.json`.
    fn scope(&self, root: &Path, file: &Path) -> Option<(PathBuf, Rc<Json>)> {
        let folders = file.ancestors().skip(1);
        let folders = folders.take_while(|folder| folder.starts_with(root) && !is_packages(folder));
        folders
            .filter_map(|folder| Some((folder.to_owned(), self.json(folder)?)))
            .next()
    }
}

/// A package that cannot be read counts as one without a `package.json`.
fn read(path: &Path) -> Option<Json> {
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_PACKAGE_JSON_BYTES + 1)
        .read_to_end(&mut text)
        .ok()?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    serde_json::from_slice(text).ok()
}

fn is_packages(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == FOLDER)
}
