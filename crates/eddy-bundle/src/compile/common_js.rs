//! CommonJS modules as the modules that a guest runs. Such a file becomes a module with one export: a
//! function that runs it at its first call and gives what it exports, which is what `require` does. What
//! imports it with `import` gets a second module in between, which exports names.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The function that runs the file. Names that no package uses by chance.
const RUN: &str = "__eddy_require";

/// What a `require` in a CommonJS module means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Required {
    /// Another CommonJS module, by its name.
    CommonJs(String),
    /// A module, by its name, or the one that [`required`] makes of it: its namespace.
    Module(String),
    /// A JSON file, by its name.
    Json(String),
    /// An empty object.
    Nothing,
    /// It cannot be had: many packages try, and catch the error.
    Missing(String),
}

/// What the default of a CommonJS module is for those that import it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// Its own default when it was a module before it was compiled to CommonJS, else all that it exports: what
    /// bundlers take it for, and types that are written for them.
    OfBundlers,
    /// All that it exports: what Node.js gives to files that are modules by their package or extension.
    OfNode,
}

/// The name of the module in between.
pub(crate) fn facade_name(name: &str, default: Default) -> String {
    match default {
        Default::OfBundlers => format!("{name}?import"),
        Default::OfNode => format!("{name}?import=node"),
    }
}

/// The name of the module that stands for the module `name` where it is required.
pub(crate) fn required_name(name: &str) -> String {
    format!("{name}?require")
}

/// What `require` gives of the module `name`: its namespace and, when it has a default, the mark by which
/// compiled code tells modules from CommonJS. So it is in Node.js.
pub(crate) fn required(name: &str, has_default: bool) -> String {
    let name = text(name);
    let marked = match has_default {
        true => format!("export {{ default }} from {name};\nexport const __esModule = true;\n"),
        false => String::new(),
    };
    format!("export * from {name};\n{marked}")
}

/// The module that throws what could not be found, for those that import it while they run.
pub(crate) fn missing(why: &str) -> String {
    format!("{}\n", throw(&text(why)))
}

/// The module for the CommonJS file `name` with this code. It is one line longer at its beginning.
///
/// Everything in it is hoisted, so that it can be called while modules that import each other in a circle are
/// still being evaluated. `global` is no parameter of the body: the file may declare one of its own.
pub(crate) fn module(name: &str, code: &str, required: &[(String, Required)]) -> String {
    let mut imports = String::new();
    let mut cases = String::new();
    for (number, (specifier, target)) in required.iter().enumerate() {
        let own = format!("__eddy_{number}");
        let (import, gives) = match target {
            Required::CommonJs(name) => (
                format!("import {{ {RUN} as {own} }} from {};", text(name)),
                format!("return {own}();"),
            ),
            Required::Module(name) => (
                format!("import * as {own} from {};", text(name)),
                format!("return {own};"),
            ),
            Required::Json(name) => (
                format!("import {own} from {};", text(name)),
                format!("return {own};"),
            ),
            Required::Nothing => (String::new(), "return {};".to_owned()),
            Required::Missing(why) => (String::new(), throw(&text(why))),
        };
        imports += &import;
        // Writing to a string does not fail.
        let _ = write!(cases, "case {}: {gives} ", text(specifier));
    }
    let unknown = text("the module of this require is not known before the code runs: ");
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (name, folder) = (text(name), text(folder));
    format!(
        "{imports}var __eddy_module, global;\
         function __eddy_find(specifier) {{ switch (specifier) {{ {cases}}} {unknown} }}\
         export function {RUN}() {{ if (__eddy_module === undefined) {{ global = globalThis;\
         const module = __eddy_module = {{ exports: {{}}, id: {name}, filename: {name}, loaded: false, children: [], paths: [] }};\
         try {{ __eddy_body.call(module.exports, module.exports, __eddy_find, module, {name}, {folder}); }}\
         catch (error) {{ __eddy_module = undefined; throw error; }}\
         module.loaded = true; }} return __eddy_module.exports; }}\
         function __eddy_body(exports, require, module, __filename, __dirname) {{\n{code}\n}}\n",
        unknown = throw(&format!("{unknown} + specifier")),
    )
}

/// The error as Node.js has it: packages that can do without look at its code.
fn throw(message: &str) -> String {
    format!("throw Object.assign(new Error({message}), {{ code: \"MODULE_NOT_FOUND\" }});")
}

/// What `import` gets of the CommonJS module `name`: its default, the names that are `asked` for, and those that its
/// code shows. An error in a getter is thrown only where somebody asks.
pub(crate) fn facade(
    name: &str,
    default: Default,
    asked: &BTreeSet<String>,
    shown: &BTreeSet<String>,
) -> String {
    let all = match default {
        Default::OfBundlers => {
            "all != null && all.__esModule && \"default\" in all ? all.default : all"
        }
        Default::OfNode => "all",
    };
    let mut source = format!(
        "import {{ {RUN} }} from {};\nconst all = {RUN}();\nexport default {all};\n",
        text(name)
    );
    let named = asked.union(shown).filter(|name| *name != "default");
    for (number, name) in named.enumerate() {
        let exported = exported(name);
        let value = format!("all?.[{}]", text(name));
        let value = match asked.contains(name) {
            true => format!("const _{number} = {value};"),
            false => format!("let _{number}; try {{ _{number} = {value}; }} catch {{}}"),
        };
        let _ = writeln!(source, "{value}\nexport {{ _{number} as {exported} }};");
    }
    source
}

/// A name as it stands in an export.
pub(super) fn exported(name: &str) -> String {
    match is_identifier(name) {
        true => name.to_owned(),
        false => text(name),
    }
}

fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$');
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A source map, for code that now begins one line later.
pub(crate) fn shifted(map: &str) -> Option<String> {
    let mut map: Value = serde_json::from_str(map).ok()?;
    let mappings = map.get_mut("mappings")?;
    *mappings = Value::String(format!(";{}", mappings.as_str()?));
    Some(map.to_string())
}

/// A JavaScript string: JSON is one.
pub(super) fn text(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
