//! `/metrics` follows the conventions of Prometheus: the rules that `promtool check metrics` has,
//! written here so that every machine checks them; and promtool itself where it is installed.

use crate::wire::Running;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Help and type of each family, in the text format.
fn families(text: &str) -> BTreeMap<&str, (&str, &str)> {
    let mut families: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            let twice = families.insert(name, (help, ""));
            assert!(twice.is_none(), "{name} is described twice");
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            families.get_mut(name).expect("HELP comes before TYPE").1 = kind;
        }
    }
    families
}

#[tokio::test]
async fn metrics_follow_the_conventions() {
    let server = Running::start().await;
    let text = server.send("GET", "/metrics", "", "").await.body;
    let families = families(&text);
    assert!(families.len() > 10);
    for (name, (help, kind)) in &families {
        assert!(!help.is_empty() && !kind.is_empty(), "{name}");
        assert!(name.starts_with("eddy_"), "{name}");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(plain), "{name} is not snake case");
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
        let words: Vec<&str> = name.split('_').collect();
        for word in [
            "ms",
            "us",
            "millis",
            "milliseconds",
            "kib",
            "mb",
            "info",
            "count",
            "sum",
        ] {
            assert!(!words.contains(&word), "{name}: no {word} in a name");
        }
        for kind in ["counter", "gauge", "histogram", "summary"] {
            assert!(!words.contains(&kind), "{name} repeats its type");
        }
    }
    let mut series: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (one, value) = line.rsplit_once(' ').expect("a series and its value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = one.split('{').next().unwrap_or_default();
        let known = ["", "_sum", "_count", "_bucket"].iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|name| families.contains_key(name))
        });
        assert!(known, "{name} has no HELP and no TYPE");
        series.push(one);
    }
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all, "a series stands there twice");
}

#[tokio::test]
async fn promtool_accepts_the_metrics_where_it_is_installed() {
    let promtool = std::env::var_os("EDDY_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let server = Running::start().await;
    let text = server.send("GET", "/metrics", "", "").await.body;
    let check = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut check) = check else {
        eprintln!("promtool is not installed: only the rules above were checked");
        return;
    };
    let mut stdin = check.stdin.take().expect("stdin is piped");
    stdin.write_all(text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let out = check.wait_with_output().expect("promtool ends");
    let told = [out.stdout, out.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(out.status.success() && told.is_empty(), "{told}");
}
