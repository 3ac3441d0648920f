//! JSON files as modules.

use super::JsModule;
use super::common_js::{exported, text};
use super::problem::Problem;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An object with more keys is data, and nobody imports them by name: each would cost every instance.
const MAX_NAMED: usize = 1000;

/// JSON as a module: its default export is the value, and each key of an object is an export, as with other bundlers.
/// Parsed when it runs, so that a `__proto__` key is a key like any other.
pub(crate) fn module(name: &str, json: &str) -> Result<JsModule, Vec<Problem>> {
    let json = json.trim_start_matches('\u{feff}');
    if let Err(error) = serde_json::from_str::<IgnoredAny>(json) {
        let lines = json
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let offset = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let problem = Problem::new(format!("{name} is not JSON: {error}"));
        return Err(vec![problem.at(name, json, offset..offset + 1)]);
    }
    let mut source = format!(
        "const all = JSON.parse({});\nexport default all;\n",
        text(json)
    );
    // What is no object has no keys.
    let keys: BTreeMap<String, IgnoredAny> = serde_json::from_str(json).unwrap_or_default();
    let named = keys.len() <= MAX_NAMED;
    let keys = keys.into_keys().filter(|key| named && key != "default");
    for (number, key) in keys.enumerate() {
        let (value, exported) = (text(&key), exported(&key));
        let _ = writeln!(
            source,
            "const _{number} = all[{value}];\nexport {{ _{number} as {exported} }};"
        );
    }
    Ok(JsModule {
        name: name.to_owned(),
        source,
        source_map: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_no_names() {
        let object = |keys: usize| {
            let keys = (0..keys).map(|n| (format!("k{n}"), n));
            serde_json::to_string(&keys.collect::<BTreeMap<_, _>>()).expect("it is JSON")
        };
        let exports = |keys: usize| {
            let module = module("d.json", &object(keys)).expect("it is a module");
            module.source.matches("export ").count()
        };
        assert_eq!(exports(MAX_NAMED), MAX_NAMED + 1);
        assert_eq!(exports(MAX_NAMED + 1), 1);
    }
}
