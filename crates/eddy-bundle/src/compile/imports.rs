//! Which file an import means.

use super::packages::{Found, How, Packages};
use super::project::{Project, Refusal, SourceFile};
use super::source::{COMPILED_FROM, EXTENSIONS, Kind, kind};
use super::tests;
use std::path::{Component, Path, PathBuf};

/// The module that every guest has without a file.
pub(crate) const BUILT_IN: &str = "eddy";

/// What an import specifier names.
#[derive(Debug)]
pub(crate) enum Target {
    /// Stays as it is.
    BuiltIn,
    /// A module that comes along, by its name.
    Support(&'static str),
    /// A file of the project, or of a package inside it.
    File(SourceFile),
    /// An empty module.
    Nothing,
}

/// Why an import cannot be used: what is wrong, and what to do.
#[derive(Debug)]
pub(crate) struct BadImport {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// The target of `specifier` in the module `importer`.
pub(crate) fn resolve(
    project: &Project,
    packages: &Packages,
    importer: &SourceFile,
    specifier: &str,
    how: How,
) -> Result<Target, BadImport> {
    if specifier == BUILT_IN {
        return Ok(Target::BuiltIn);
    }
    if specifier == tests::SPECIFIER {
        return match project.has_tests() {
            true => Ok(Target::Support(tests::MODULE)),
            false => Err(bad(
                format!("{specifier:?} is there for test files only"),
                "Import it in a file whose name ends in .test.ts, and run `eddy test`.",
            )),
        };
    }
    let relative = matches!(specifier, "." | "..")
        || specifier.starts_with("./")
        || specifier.starts_with("../");
    if is_address(specifier) {
        return Err(bad(
            format!("{specifier:?} is not a path inside the project"),
            "Copy the file into the project and import it with a relative path.",
        ));
    }
    if !relative || packages.own(importer) {
        project.note_packages();
        let found = packages.find(project, importer, specifier, how);
        // A linked package may be TypeScript, whose rules for relative imports are those of the user's own files.
        if !relative || found.is_ok() || !packages.is_linked(importer) {
            return match found? {
                Found::Nothing => Ok(Target::Nothing),
                Found::File(path) => of_package(project, specifier, &path),
            };
        }
    }
    of_project(project, importer, specifier)
}

/// A relative import, as the user's own files write it.
fn of_project(
    project: &Project,
    importer: &SourceFile,
    specifier: &str,
) -> Result<Target, BadImport> {
    let Some(base) = join(&importer.name, specifier) else {
        return Err(outside(specifier));
    };
    let tried = candidates(&base);
    for candidate in &tried {
        match project.file(Path::new(candidate)) {
            Ok(file) => return usable(specifier, file).map(Target::File),
            Err(Refusal::Missing) => {}
            Err(Refusal::Outside) => return Err(outside(specifier)),
            Err(Refusal::NotUtf8) => {
                return Err(bad(
                    format!("the path of {specifier:?} is not UTF-8"),
                    "Rename it.",
                ));
            }
        }
    }
    Err(bad(
        format!("{specifier:?} names no file of the project"),
        format!("tried: {}", tried.join(", ")),
    ))
}

/// A file that a package was found to mean.
fn of_package(project: &Project, specifier: &str, path: &Path) -> Result<Target, BadImport> {
    match project.file(path) {
        Ok(file) => usable(specifier, file).map(Target::File),
        Err(Refusal::Outside) => Err(bad(
            format!("the package of {specifier:?} is outside the project folder"),
            "Install it in the folder that is deployed, or deploy the folder above with an eddy.toml in it.",
        )),
        Err(Refusal::Missing | Refusal::NotUtf8) => Err(bad(
            format!("{specifier:?} cannot be read"),
            "Install the package again.",
        )),
    }
}

/// The path that `specifier` means, relative to the project; none when it leaves the project.
fn join(importer: &str, specifier: &str) -> Option<String> {
    let folder = Path::new(importer).parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in folder.join(specifier).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    path.into_os_string().into_string().ok()
}

/// The files that a path may mean, the likeliest first.
fn candidates(base: &str) -> Vec<String> {
    let mut tried = Vec::new();
    if kind(base) != Kind::Other {
        tried.push(base.to_owned());
    }
    for (compiled, sources) in COMPILED_FROM {
        if let Some(stem) = base.strip_suffix(compiled) {
            tried.extend(sources.iter().map(|source| format!("{stem}{source}")));
        }
    }
    if !base.is_empty() {
        tried.extend(
            EXTENSIONS
                .iter()
                .map(|extension| format!("{base}{extension}")),
        );
    }
    let slash = if base.is_empty() { "" } else { "/" };
    tried.extend(
        EXTENSIONS
            .iter()
            .map(|extension| format!("{base}{slash}index{extension}")),
    );
    tried
}

/// A file that was found must be of a kind that can be a module.
fn usable(specifier: &str, file: SourceFile) -> Result<SourceFile, BadImport> {
    match kind(&file.name) {
        Kind::Script | Kind::Json => Ok(file),
        Kind::CommonJs if file.name.ends_with(".cjs") => Ok(file),
        Kind::Declaration => Err(bad(
            format!("{specifier:?} holds types only"),
            "Import it with `import type`.",
        )),
        Kind::CommonJs => Err(bad(
            format!("{specifier:?} is a CommonJS module"),
            "Write it with `import` and `export`, as a .js or .ts file.",
        )),
        // A link may lead to a file with another extension.
        Kind::Other => Err(bad(
            format!("{specifier:?} is {}, which cannot be a module", file.name),
            "Import .ts, .js or .json files.",
        )),
    }
}

/// A path from the root, or a URL.
fn is_address(specifier: &str) -> bool {
    specifier.starts_with('/') || specifier.contains("://") || specifier.starts_with("file:")
}

/// That nobody knows what is imported.
pub(crate) fn computed() -> BadImport {
    bad(
        "the module of a dynamic import is not known before the code runs",
        "Name it by a plain string: `import(\"./lib\")`.",
    )
}

fn outside(specifier: &str) -> BadImport {
    bad(
        format!("{specifier:?} is outside the project folder"),
        "Only files inside the project are deployed: move or copy it there, or deploy the folder \
         above with an eddy.toml in it.",
    )
}

pub(crate) fn bad(message: impl Into<String>, hint: impl Into<String>) -> BadImport {
    BadImport {
        message: message.into(),
        hint: hint.into(),
    }
}
