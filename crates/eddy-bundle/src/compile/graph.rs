//! Follows imports from the entry and compiles each module once.

use super::JsModule;
use super::imports::{self, Target};
use super::problem::{BundleError, MAX_PROBLEMS, Problem};
use super::project::{Budget, Project, SourceFile};
use super::source::{Kind, kind};
use super::transform::{self, Compiled};
use eddy_types::ErrorCode;
use eddy_types::limits::MAX_MODULES;
use std::collections::{BTreeSet, VecDeque};

/// The modules that `entry` reaches, the entry first, then in the order they are met.
pub(crate) fn modules(
    project: &Project,
    entry: SourceFile,
    budget: &mut Budget,
) -> Result<Vec<JsModule>, BundleError> {
    check_entry(&entry)?;
    let mut seen = BTreeSet::from([entry.name.clone()]);
    let mut waiting = VecDeque::from([entry]);
    let (mut modules, mut problems) = (Vec::new(), Vec::new());
    while let Some(file) = waiting.pop_front() {
        let text = file.read_text(budget)?;
        match module(project, &file.name, &text) {
            Ok((module, imported)) => {
                modules.push(module);
                waiting.extend(
                    imported
                        .into_iter()
                        .filter(|file| seen.insert(file.name.clone())),
                );
            }
            Err(found) => problems.extend(found),
        }
        if seen.len() > MAX_MODULES {
            let hint = "Bundle it into fewer files first, or split the app.";
            return Err(BundleError::too_many_modules(hint));
        }
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    BundleError::unless_sound(modules, problems)
}

fn check_entry(entry: &SourceFile) -> Result<(), BundleError> {
    if kind(&entry.name) == Kind::Script {
        return Ok(());
    }
    Err(Problem::new(format!(
        "{} is neither TypeScript, JavaScript, Python nor WebAssembly",
        entry.name
    ))
    .hint("The code of a component is a .ts, .tsx, .mts, .js, .mjs, .jsx, .py or .wasm file.")
    .fail(ErrorCode::InvalidSource))
}

/// One module, and the files it imports.
fn module(
    project: &Project,
    name: &str,
    text: &str,
) -> Result<(JsModule, Vec<SourceFile>), Vec<Problem>> {
    if kind(name) == Kind::Json {
        return Ok((json_module(name, text)?, Vec::new()));
    }
    let mut imported = Vec::new();
    let Compiled { code, map } =
        transform::compile(name, text, |specifier| {
            match imports::resolve(project, name, specifier)? {
                Target::BuiltIn => Ok(specifier.to_owned()),
                Target::Support(module) => Ok(module.to_owned()),
                Target::File(file) => {
                    let target = file.name.clone();
                    imported.push(file);
                    Ok(target)
                }
            }
        })?;
    let module = JsModule {
        name: name.to_owned(),
        source: code,
        source_map: Some(map),
    };
    Ok((module, imported))
}

/// JSON as a module. Parsed when it runs, so that a `__proto__` key is a key like any other.
fn json_module(name: &str, text: &str) -> Result<JsModule, Vec<Problem>> {
    let text = text.trim_start_matches('\u{feff}');
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let lines = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let offset = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let problem = Problem::new(format!("{name} is not JSON: {error}"));
        return Err(vec![problem.at(name, text, offset..offset + 1)]);
    }
    // A JSON string is a JavaScript string.
    let literal = serde_json::Value::String(text.to_owned());
    let source = format!("export default JSON.parse({literal});\n");
    Ok(JsModule {
        name: name.to_owned(),
        source,
        source_map: None,
    })
}
