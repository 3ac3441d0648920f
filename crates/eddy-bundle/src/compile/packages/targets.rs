//! What `exports` and `imports` of a `package.json` say: Node's algorithm for keys, patterns and conditions.

use super::json::Json;

/// The longest path that a pattern may grow to: no file system has longer ones.
const MAX_PATH_BYTES: usize = 1 << 15;

/// What a key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A path or, in `imports`, another package: with what `*` stood for in its place.
    To(String),
    /// The package says that there is nothing.
    Nothing,
}

/// What `exports` has for `path`, which is `.` or begins with `./`.
pub(super) fn exported(exports: &Json, path: &str, conditions: &[&str]) -> Option<Target> {
    let by_path = matches!(exports, Json::Object(fields) if fields.iter().any(|(key, _)| key.starts_with('.')));
    match by_path {
        true => keyed(exports, path, conditions),
        // Sugar for a package with one entry.
        false if path == "." => target(exports, "", conditions),
        false => None,
    }
}

/// What the key that fits `name` has: of `exports`, or of `imports`, where names begin with `#`.
pub(super) fn keyed(keys: &Json, name: &str, conditions: &[&str]) -> Option<Target> {
    let Json::Object(fields) = keys else {
        return None;
    };
    let exact = |key: &str| key == name && !key.contains('*') && !key.ends_with('/');
    if let Some((_, value)) = fields.iter().find(|(key, _)| exact(key)) {
        return target(value, "", conditions);
    }
    let fitting = fields
        .iter()
        .filter_map(|(key, value)| Some((key, captured(key, name)?, value)));
    // The longest text before the `*` counts, then the longest key.
    let best = fitting.max_by_key(|(key, ..)| {
        let before = key.find('*').unwrap_or(key.len());
        (before, key.len())
    })?;
    let (key, captured, value) = best;
    match key.ends_with('/') {
        // A whole folder, as it was written before there were patterns.
        true => match target(value, "", conditions)? {
            Target::To(folder) => Some(Target::To(folder + captured)),
            Target::Nothing => Some(Target::Nothing),
        },
        false => target(value, captured, conditions),
    }
}

/// What `*` stands for in `key` when it fits `name`, or what follows a key that is a folder.
fn captured<'n>(key: &str, name: &'n str) -> Option<&'n str> {
    if let Some((before, after)) = key.split_once('*') {
        let rest = name.strip_prefix(before)?;
        let captured = rest.strip_suffix(after)?;
        return (!captured.is_empty() && !after.contains('*')).then_some(captured);
    }
    let rest = name.strip_prefix(key)?;
    (key.ends_with('/') && !rest.is_empty()).then_some(rest)
}

/// The first that holds. None when no condition does, so that the next one is looked at.
fn target(value: &Json, captured: &str, conditions: &[&str]) -> Option<Target> {
    match value {
        Json::Text(text) => {
            let grown = text.matches('*').count().saturating_mul(captured.len());
            let fits = grown.saturating_add(text.len()) <= MAX_PATH_BYTES;
            fits.then(|| Target::To(text.replace('*', captured)))
        }
        Json::Null => Some(Target::Nothing),
        Json::List(all) => all
            .iter()
            .filter_map(|one| target(one, captured, conditions))
            .find(|found| *found != Target::Nothing),
        Json::Object(fields) => fields
            .iter()
            .filter(|(key, _)| key == "default" || conditions.contains(&key.as_str()))
            .find_map(|(_, value)| target(value, captured, conditions)),
        Json::False | Json::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(exports: &str, path: &str) -> String {
        let exports: Json = serde_json::from_str(exports).expect("JSON");
        match exported(&exports, path, &["browser", "import"]) {
            Some(Target::To(path)) => path,
            Some(Target::Nothing) => "nothing".to_owned(),
            None => "not exported".to_owned(),
        }
    }

    #[test]
    fn the_packages_own_order_counts() {
        let both = r#"{ "import": "./a.js", "browser": "./b.js", "default": "./c.js" }"#;
        assert_eq!(shown(both, "."), "./a.js");
        let other =
            r#"{ "node": "./n.js", "browser": { "require": "./r.js" }, "default": "./c.js" }"#;
        assert_eq!(shown(other, "."), "./c.js");
        assert_eq!(shown(r#"{ "node": "./n.js" }"#, "."), "not exported");
        assert_eq!(shown(r#"[{ "node": "./n.js" }, "./l.js"]"#, "."), "./l.js");
        assert_eq!(shown(r#""./only.js""#, "."), "./only.js");
        assert_eq!(shown(r#""./only.js""#, "./sub"), "not exported");
    }

    #[test]
    fn the_longest_key_wins_and_null_closes() {
        let exports = r#"{ "./*": "./lib/*.js", "./in/*": null, "./in/open/*.js": "./o/*.mjs", "./in/one": "./1.js", "./old/": "./older/" }"#;
        for (path, file) in [
            ("./a/b", "./lib/a/b.js"),
            ("./in/x", "nothing"),
            ("./in/open/x.js", "./o/x.mjs"),
            ("./in/one", "./1.js"),
            ("./old/x.js", "./older/x.js"),
            (".", "not exported"),
        ] {
            assert_eq!(shown(exports, path), file, "{path}");
        }
    }

    #[test]
    fn a_field_that_is_there_twice_counts_once() {
        let json: Json =
            serde_json::from_str(r#"{"main":"a","n":1.5,"main":"b","b":true}"#).expect("JSON");
        assert_eq!(json.text("main"), Some("b"));
        assert_eq!(json.text("n"), None);
    }
}
