//! Whether a command printed what its page says. What differs from run to run is the same on both sides here.

use regex::Regex;
use snapbox::{Assert, Data};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Patterns of what is never the same, and what stands for them.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[at]"),
        (r"\b\d\d:\d\d:\d\d\.\d{3}\b", "[at]"),
        (r"\beddy_[0-9a-f]{12}_[[:alnum:]_.-]+", "[token]"),
        (r"\b[0-9a-f]{12,}\b", "[id]"),
        (r#""(at|now|pid)":\d+"#, "\"$1\":[number]"),
        (r"\b\d+(\.\d+)? ?(ms|us|µs|s)\b", "[time]"),
        // Columns are as wide as what stands in them.
        (r"(\S) {2,}", "$1  "),
        (r"(?m) +$", ""),
    ];
    let compiled = patterns.map(|(pattern, to)| (Regex::new(pattern).expect("a pattern"), to));
    compiled.into()
});

fn settled(text: &str) -> String {
    let mut text = Cow::Borrowed(text.trim());
    for (pattern, to) in VARYING.iter() {
        text = Cow::Owned(pattern.replace_all(&text, *to).into_owned());
    }
    text.into_owned() + "\n"
}

/// The difference, where there is one. In `expected` a line `...` stands for any lines, and `[..]` for any text
/// in a line.
pub(super) fn same(actual: &str, expected: &str) -> Result<(), String> {
    let (actual, expected) = (Data::text(settled(actual)), Data::text(settled(expected)));
    let compared = Assert::new()
        .normalize_paths(false)
        .try_eq(Some(&"output"), actual, expected);
    compared.map_err(|difference| difference.to_string())
}

#[test]
fn what_varies_is_the_same_and_what_does_not_is_not() {
    let actual = "ID     AT\n00112233445566778899aabbccddeeff  2026-01-31T12:00:00.123Z 4 ms\nend";
    let other = "ID AT\n";
    assert!(
        same(
            actual,
            "ID  AT\n0123456789ab   2020-01-01T00:00:00Z 5.5 s\nend"
        )
        .is_ok()
    );
    assert!(same(actual, "ID  AT\n...\nend").is_ok());
    assert!(same(actual, other).is_err());
    assert!(same(actual, "ID  AT\n...\nfin").is_err());
}
