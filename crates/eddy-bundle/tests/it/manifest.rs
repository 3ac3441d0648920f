//! `eddy.toml`: what is accepted, and what is said of the rest.

use super::bundle_files;
use eddy_bundle::Bundle;
use eddy_types::Manifest;
use proptest::prelude::*;

fn bundle(toml: &str) -> Result<Bundle, String> {
    bundle_files(&[("eddy.toml", toml), ("index.ts", "")], "").map_err(|error| error.to_string())
}

fn wrong(toml: &str) -> String {
    bundle(toml).expect_err("it must be refused")
}

/// Every key once; docs/manifest.md shows the same file.
const FULL: &str = r#"
name = "shop"
[components.main]
path = "index.ts"
[defaults.functions]
timeout = "10s"
concurrency = 8
[defaults.agents]
idle = "5m"
memory = "64MiB"
[functions.order]
timeout = "none"
memory = 67108864
concurrency = 16
retries = { attempts = 3, backoff = "250ms", max_backoff = "1m" }
[agents.cart]
timeout = "2s 500ms"
memory = "1GiB"
idle = "1h"
durability = "relaxed"
[agents.cart.retries]
attempts = 5
[env]
MODE = "test"
TOKEN = { secret = "STRIPE" }
[capabilities]
hosts = ["api.example.com", "localhost:8080", "*.Example.org"]
"#;

#[test]
fn every_key_is_read_and_survives_json() {
    let manifest = bundle(FULL).expect("it is right").manifest;
    insta::assert_json_snapshot!(manifest);
    let json = serde_json::to_string(&manifest).expect("it is JSON");
    assert_eq!(
        serde_json::from_str::<Manifest>(&json).expect("it reads"),
        manifest
    );
}

#[test]
fn the_reference_documents_exactly_the_known_keys() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/manifest.md");
    let docs = std::fs::read_to_string(docs).expect("docs/manifest.md is there");
    let (_, rest) = docs
        .split_once("```toml\n")
        .expect("the reference holds a file");
    let (toml, _) = rest.split_once("```").expect("the file ends");
    // Commented defaults are switched on, so that a wrong one fails here.
    let lines = toml.lines().map(|line| match line.strip_prefix("# ") {
        Some(code) if code.contains(" = ") => code,
        _ => line,
    });
    let toml = lines.collect::<Vec<_>>().join("\n");
    bundle(&toml).expect("the reference is a right manifest");
    for key in [
        "timeout",
        "memory",
        "concurrency",
        "idle",
        "attempts",
        "backoff",
        "max_backoff",
        "durability",
        "hosts",
        "secret",
        "path",
        "name",
    ] {
        assert!(toml.contains(key), "{key} is not in the reference");
    }
}

#[test]
fn where_nothing_resembles_a_key_each_known_one_is_named_once() {
    let said = wrong("name = \"shop\"\nqqqqqqqqqq = 1\n");
    let (_, keys) = said
        .split_once("known keys here: ")
        .expect("they are named");
    let keys = keys.lines().next().expect("a line");
    let keys: Vec<_> = keys.split(", ").collect();
    let once: std::collections::BTreeSet<_> = keys.iter().collect();
    assert!(
        once.len() == keys.len() && keys.contains(&"routes"),
        "{keys:?}"
    );
}

#[test]
fn all_problems_come_at_once_with_suggestions() {
    insta::assert_snapshot!(wrong(
        r#"
name = "my shop"
[function.order]
timeout = "1s"
[agents.cart]
timout = "30s"
memory = "4GiB"
durability = "sync"
idle = 30
retries = { attempts = 0, backof = "1s" }
[agents."9lives"]
[env]
"A B" = "x"
PORT = 80
TOKEN = { secrets = "X" }
[capabilities]
hosts = ["https://example.com/"]
"#
    ));
}

#[test]
fn syntax_errors_and_a_missing_name_have_a_place() {
    insta::assert_snapshot!(wrong("name = shop\n[agents\n"));
    insta::assert_snapshot!(wrong("[agents.cart]\nidle = '1s'\n"));
    insta::assert_snapshot!(wrong("name = 'a'\nname = 'b'\n"));
    insta::assert_snapshot!(wrong("name = 'a'\nfunctions = 3\n"));
}

fn millis() -> impl Strategy<Value = String> {
    (1u64..100_000_000).prop_map(|ms| format!("{ms}ms"))
}

fn settings() -> impl Strategy<Value = String> {
    let timeout = prop_oneof![Just("none".to_owned()), millis()];
    let memory = (1usize << 20)..=(1 << 30);
    let durability = prop_oneof![Just("synced"), Just("relaxed"), Just("none")];
    (timeout, memory, millis(), durability, 1u32..=1000).prop_map(|(t, m, i, d, a)| {
        format!("timeout='{t}'\nmemory={m}\nidle='{i}'\ndurability='{d}'\nretries.attempts={a}\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_manifest_survives_toml_json_and_toml(
        types in proptest::collection::btree_map("[a-z][a-z0-9_-]{0,8}", settings(), 0..4),
        env in proptest::collection::btree_map("[A-Z_]{1,8}", "[ -&(-~]{0,12}", 0..4),
        secret in "[A-Z]{1,8}",
    ) {
        let mut toml = "name = 'x'\n[env]\n".to_owned();
        toml.extend(env.iter().map(|(key, value)| format!("{key} = '{value}'\n")));
        toml += &format!("secret_one = {{ secret = '{secret}' }}\n");
        toml.extend(types.iter().map(|(name, text)| format!("[agents.{name}]\n{text}")));
        let manifest = bundle(&toml).expect("it is right").manifest;
        let json = serde_json::to_string(&manifest).expect("it is JSON");
        let back: Manifest = serde_json::from_str(&json).expect("it reads");
        prop_assert_eq!(&back, &manifest);
        let written = toml::to_string(&back).expect("it is TOML");
        prop_assert_eq!(bundle(&written).expect("it reads").manifest, manifest);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "([a-z\\[\\]{}=.\"'\n #0-9é]|name|env|agents|timeout){0,40}") {
        let _ = bundle(&text);
    }
}
