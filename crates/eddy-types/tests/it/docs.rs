//! docs/errors and docs/limits.md against the error codes and the limits.

use eddy_types::ErrorCode;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn retryable(code: ErrorCode) -> &'static str {
    if code.is_retryable() { "yes" } else { "no" }
}

#[test]
fn every_error_page_states_its_status_and_whether_to_try_again() {
    let index = read("docs/errors/README.md");
    for code in ErrorCode::ALL.iter().copied() {
        let (text, status, again) = (code.as_str(), code.http_status(), retryable(code));
        let page = read(&format!("docs/errors/{text}.md"));
        assert!(page.starts_with(&format!("# {text}\n")), "{text}: heading");
        let facts = format!("**Status** {status} · **Retryable** {again} · **Exit code** ");
        let exit = page
            .split_once(&facts)
            .and_then(|(_, rest)| rest.lines().next());
        let exit = exit.unwrap_or_else(|| panic!("{text}: the page lacks {facts:?}"));
        let row = format!("| [{text}]({text}.md) | {status} | {again} | {exit} | ");
        assert!(index.contains(&row), "{text}: the index lacks {row:?}");
    }
}

#[test]
fn every_limit_has_its_row() {
    let (code, table) = (
        read("crates/eddy-types/src/limits.rs"),
        read("docs/limits.md"),
    );
    let names = |text: &str, before: &str, after: char| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(before));
        let mut names: Vec<_> = lines
            .filter_map(|line| Some(line.split_once(after)?.0.to_owned()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&code, "pub const ", ':'), names(&table, "| `", '`'));
}
