//! Python: the modules that an entry reaches, with their import names. They travel as source: the runtime that will
//! run them compiles them, so that they fit its version.

mod parse;

use super::problem::{BundleError, MAX_PROBLEMS, Problem};
use super::project::{Budget, Project, SourceFile};
use eddy_types::ErrorCode;
use eddy_types::limits::MAX_MODULES;
use parse::Import;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// Where packages of others are looked for, as `pip install --target vendor` puts them.
const VENDOR: &str = "vendor";
const PACKAGE: &str = "__init__.py";

/// One Python module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonModule {
    /// What it is imported as: `shop.cart`.
    pub name: String,
    /// Its path relative to the project, with `/`. A package is its `__init__.py`.
    pub path: String,
    /// Python.
    pub source: String,
}

/// Whether the name of a file says Python.
pub(crate) fn is_python(name: &str) -> bool {
    name.ends_with(".py")
}

/// The modules that `entry` reaches, the entry first, then in the order they are met. What is not found is left
/// to the runtime: it may be of the standard library, or guarded by `try`.
pub(crate) fn modules(
    project: &Project,
    entry: SourceFile,
    budget: &mut Budget,
) -> Result<Vec<PythonModule>, BundleError> {
    let mut walk = Walk::new(project, &entry)?;
    let (mut modules, mut problems) = (Vec::new(), Vec::new());
    while let Some((name, file)) = walk.waiting.pop_front() {
        let source = file.read_text(budget)?;
        let (imports, problem) = parse::imports(&file.name, &source);
        let package = package_of(&name, &file.name);
        imports
            .iter()
            .for_each(|import| walk.follow(&package, import));
        problems.extend(problem);
        modules.push(PythonModule {
            name,
            path: file.name,
            source,
        });
        if walk.seen.len() > MAX_MODULES {
            let hint = "Leave out what the code does not need, or split the app.";
            return Err(BundleError::too_many_modules(hint));
        }
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    BundleError::unless_sound(modules, problems)
}

/// Which modules were met, and which are still to be read.
struct Walk<'p> {
    project: &'p Project,
    /// Folders that imports begin in, the first that has a module wins.
    roots: Vec<PathBuf>,
    /// By name, whether there is such a module.
    seen: BTreeMap<String, bool>,
    waiting: VecDeque<(String, SourceFile)>,
}

impl<'p> Walk<'p> {
    fn new(project: &'p Project, entry: &SourceFile) -> Result<Self, BundleError> {
        let path = Path::new(&entry.name);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if !is_identifier(&name) {
            return Err(Problem::new(format!(
                "{} cannot be imported: `{name}` is no name of Python",
                entry.name
            ))
            .hint("Name the file with letters, digits and `_`, not a digit first: main.py.")
            .fail(ErrorCode::InvalidSource));
        }
        let mut roots = vec![folder];
        for root in ["", VENDOR].map(PathBuf::from) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        Ok(Self {
            project,
            roots,
            seen: BTreeMap::from([(name.to_string(), true)]),
            waiting: VecDeque::from([(name.to_string(), entry.clone())]),
        })
    }

    /// Takes in what an import in the package `package` names.
    fn follow(&mut self, package: &str, import: &Import) {
        let Some(module) = absolute(package, import) else {
            return;
        };
        if !module.is_empty() {
            self.module(&module);
        }
        for name in &import.names {
            let part = match module.as_str() {
                "" => name.clone(),
                module => format!("{module}.{name}"),
            };
            self.module(&part);
        }
    }

    /// A module with the packages around it; whether there is one.
    fn module(&mut self, name: &str) -> bool {
        if let Some(&known) = self.seen.get(name) {
            return known;
        }
        if let Some((package, _)) = name.rsplit_once('.') {
            self.module(package);
        }
        let found = name.split('.').all(is_identifier).then(|| self.find(name));
        let found = found.flatten();
        self.seen.insert(name.to_owned(), found.is_some());
        match found {
            Some(file) => {
                self.waiting.push_back((name.to_owned(), file));
                true
            }
            None => false,
        }
    }

    fn find(&self, name: &str) -> Option<SourceFile> {
        let relative: PathBuf = name.split('.').collect();
        self.roots.iter().find_map(|root| {
            let path = root.join(&relative);
            let package = self.project.file(&path.join(PACKAGE));
            package
                .or_else(|_| self.project.file(&path.with_extension("py")))
                .ok()
        })
    }
}

/// The package that relative imports of a module start from.
fn package_of(name: &str, path: &str) -> String {
    if path.ends_with(PACKAGE) {
        return name.to_owned();
    }
    name.rsplit_once('.')
        .map_or_else(String::new, |(package, _)| package.to_owned())
}

/// The full name of what is imported; none when a relative import leads out of the packages.
fn absolute(package: &str, import: &Import) -> Option<String> {
    if import.level == 0 {
        return Some(import.module.clone());
    }
    let mut parts: Vec<&str> = package.split('.').filter(|part| !part.is_empty()).collect();
    for _ in 1..import.level {
        parts.pop()?;
    }
    parts.extend(import.module.split('.').filter(|part| !part.is_empty()));
    Some(parts.join("."))
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}
