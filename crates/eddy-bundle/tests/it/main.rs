//! Bundling through the public interface: folders and files on disk in, bundles and errors out.

mod manifest;
mod modules;
mod packages;
mod paths;
mod python;
mod testing;
mod transform;
mod unusual;

use eddy_bundle::{Bundle, BundleError, BundledCode, JsModule, bundle};
use std::path::Path;

/// A project folder with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file of the test");
    }
    folder
}

fn bundle_files(files: &[(&str, &str)], path: &str) -> Result<Bundle, BundleError> {
    let folder = project(files);
    bundle(&folder.path().join(path))
}

/// The modules of the only component.
fn js(bundle: Bundle) -> Vec<JsModule> {
    match bundle
        .components
        .into_iter()
        .next()
        .map(|component| component.code)
    {
        Some(BundledCode::Js { modules }) => modules,
        other => panic!("not JavaScript: {other:?}"),
    }
}

fn modules(files: &[(&str, &str)]) -> Vec<JsModule> {
    js(bundle_files(files, files[0].0).expect("it bundles"))
}

fn error(files: &[(&str, &str)]) -> String {
    let error = bundle_files(files, files[0].0).expect_err("it must not bundle");
    format!("{}\n{error}", error.code)
}

fn shop() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop")
}
