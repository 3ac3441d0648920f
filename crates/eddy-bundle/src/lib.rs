//! Turns a path into what `eddy deploy` uploads: the manifest, and the code of each component as
//! a WebAssembly binary, as plain JavaScript modules with source maps, or as Python modules.
//!
//! With the feature `compile` (the default) this is the client's side: reading `eddy.toml`,
//! following imports, TypeScript to JavaScript, the syntax of Python, Rust projects by cargo. Without it only
//! [`SourceMaps`] is left, which is
//! what a node needs to name the user's own lines in a stack trace. Not here: what the code
//! defines (a node asks the component itself).

mod remap;

#[cfg(feature = "compile")]
mod compile;

pub use remap::SourceMaps;

#[cfg(feature = "compile")]
pub use compile::{
    Bundle, BundleError, BundledCode, BundledComponent, JsModule, LIST_TESTS, Problem,
    PythonModule, RUN_TEST, TestFile, TestFiles, bundle, bundle_noting, bundle_telling, test_files,
};
