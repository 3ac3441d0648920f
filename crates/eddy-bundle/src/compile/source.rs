//! The kinds of source files, by extension.

/// What a file's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TypeScript or JavaScript.
    Script,
    /// JSON, imported as a module with a default export.
    Json,
    /// Type declarations: nothing of them runs.
    Declaration,
    /// CommonJS, which has no imports and exports to follow.
    CommonJs,
    /// Anything else.
    Other,
}

/// What is tried after a specifier that names no file, in this order.
pub(crate) const EXTENSIONS: [&str; 6] = [".ts", ".tsx", ".mts", ".js", ".mjs", ".jsx"];

/// TypeScript's rule: a specifier may name the file that it is compiled to.
pub(crate) const COMPILED_FROM: [(&str, &[&str]); 3] = [
    (".js", &[".ts", ".tsx"]),
    (".mjs", &[".mts"]),
    (".jsx", &[".tsx"]),
];

/// The kind of the file with this name.
pub(crate) fn kind(name: &str) -> Kind {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends(&[".d.ts", ".d.mts", ".d.cts"]) {
        Kind::Declaration
    } else if ends(&EXTENSIONS) {
        Kind::Script
    } else if ends(&[".json"]) {
        Kind::Json
    } else if ends(&[".cjs", ".cts"]) {
        Kind::CommonJs
    } else {
        Kind::Other
    }
}
