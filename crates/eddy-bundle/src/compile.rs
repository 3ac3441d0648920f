//! From a path to a [`Bundle`]. What a path may be is decided here; reading the manifest, finding
//! modules and compiling them have a module each.

mod common_js;
mod entry;
mod frame;
mod graph;
mod imports;
mod json;
mod manifest;
mod packages;
mod problem;
mod project;
mod python;
mod rust;
mod shape;
mod source;
mod tests;
mod transform;
mod wasm;

pub use problem::{BundleError, Problem};
pub use python::PythonModule;
pub use tests::{LIST_TESTS, RUN_TEST, TestFile, TestFiles, test_files};

use eddy_types::{Manifest, Name};
use std::path::{Path, PathBuf};

/// What `eddy deploy` uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What `eddy.toml` says; only a name for a single file. Lists every component.
    pub manifest: Manifest,
    /// The code, in the order of the manifest's components.
    pub components: Vec<BundledComponent>,
}

/// The code of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundledComponent {
    /// Its name in the manifest.
    pub name: Name,
    /// Its code.
    pub code: BundledCode,
}

/// Code that a node can load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundledCode {
    /// A WebAssembly component.
    Wasm(Vec<u8>),
    /// JavaScript modules; the first is the entry.
    Js {
        /// Every module that the entry reaches, each once.
        modules: Vec<JsModule>,
    },
    /// Python modules; the first is the entry.
    Python {
        /// Every module that the entry reaches, each once.
        modules: Vec<PythonModule>,
    },
}

/// One JavaScript module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsModule {
    /// Its path relative to the project, with `/`. Imports name modules by exactly this text.
    pub name: String,
    /// JavaScript.
    pub source: String,
    /// Source map (version 3, JSON) back to what the user wrote.
    pub source_map: Option<String>,
}

/// Bundles a source file, a `.wasm` component, or a folder with `eddy.toml`.
///
/// Errors: `invalid-manifest`, `invalid-source`, `invalid-component` (with every problem that was
/// found, each with its place where there is one), `invalid-argument` for a path that is none of
/// these, `toolchain-missing` for a Rust project that cannot be built here, `payload-too-large`
/// beyond [`eddy_types::limits::MAX_DEPLOY_BYTES`].
pub fn bundle(path: &Path) -> Result<Bundle, BundleError> {
    bundle_telling(path, None)
}

/// The same, and `tell` gets each line that a tool prints while it builds, in colours where the tool
/// has some. Without it the lines are part of the error when the tool fails.
pub fn bundle_telling(path: &Path, tell: Option<&dyn Fn(&str)>) -> Result<Bundle, BundleError> {
    assemble(entry::plan(path)?, tell)
}

/// As [`bundle_telling`]; puts the files into `looked_at` that it read or looked for, also when it fails: a
/// change of any of them may change the outcome, and nothing else does. Of a Rust project these are the
/// sources and manifests in its folder and in those that it depends on by path.
///
/// Errors: those of [`bundle`].
pub fn bundle_noting(
    path: &Path,
    tell: Option<&dyn Fn(&str)>,
    looked_at: &mut Vec<PathBuf>,
) -> Result<Bundle, BundleError> {
    looked_at.extend(entry::beginnings(path));
    let plan = entry::plan(path)?;
    let project = plan.project.clone();
    let bundle = assemble(plan, tell);
    looked_at.extend(project.looked_at());
    bundle
}

fn assemble(plan: entry::Plan, tell: Option<&dyn Fn(&str)>) -> Result<Bundle, BundleError> {
    let mut budget = project::Budget::default();
    let mut components = Vec::with_capacity(plan.manifest.components.len());
    for (name, component) in &plan.manifest.components {
        let file = plan.project.component(name, &component.path)?;
        let code = if rust::is_project(&file) {
            plan.project.note(rust::sources(&file));
            BundledCode::Wasm(rust::build(&file, tell, &mut budget)?)
        } else if file.is_wasm() {
            BundledCode::Wasm(wasm::read(&file, &mut budget)?)
        } else if python::is_python(&file.name) {
            BundledCode::Python {
                modules: python::modules(&plan.project, file, &mut budget)?,
            }
        } else {
            BundledCode::Js {
                modules: graph::modules(&plan.project, file, &mut budget)?,
            }
        };
        components.push(BundledComponent {
            name: name.clone(),
            code,
        });
    }
    Ok(Bundle {
        manifest: plan.manifest,
        components,
    })
}
