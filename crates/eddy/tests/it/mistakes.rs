//! Errors are part of the interface: their text, and the exit code that scripts see.

use crate::binary::{NOBODY, eddy, transcript};

#[test]
fn usage_errors_end_with_2() {
    for args in [
        &["fly"][..],
        &["invoke"],
        &["up", "--listen", "here"],
        &["call", "a/b", "m", "--timeout", "2"],
    ] {
        let ran = eddy(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn bad_input_ends_with_2_before_anything_is_sent() {
    let cases: [&[&str]; 5] = [
        &["invoke", "greet", "{name: 1}"],
        &["invoke", "greet", "@/no/such/file"],
        &["call", "cart", "add"],
        &["deploy", "/no/such/file.ts"],
        &["--url", "localhost:7400", "ls"],
    ];
    let mut text = String::new();
    for args in cases {
        let ran = eddy(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        text += &transcript(args, &ran.stdout, &ran.stderr, ran.code);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn no_node_ends_with_4() {
    let commands: [&[&str]; 6] = [
        &["ls"],
        &["invoke", "greet"],
        &["call", "cart/alice", "add", "{}"],
        &["agents", "cart"],
        &["invocations"],
        &["dead-letters"],
    ];
    for args in commands {
        let ran = eddy(args);
        assert_eq!(ran.code, 4, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with("error[node-unreachable]: "),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains(NOBODY) && ran.stderr.contains("eddy up"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn programs_get_errors_as_json() {
    let ran = eddy(&["--json", "ls"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(
        ran.stderr.contains("\"code\":\"node-unreachable\""),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_node_that_others_could_reach_does_not_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    let ran = eddy(&["up", "--data", data, "--listen", "0.0.0.0:0"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.starts_with("error[insecure-listen]: 0.0.0.0:0 "),
        "{}",
        ran.stderr
    );
    assert!(!std::path::Path::new(data).exists(), "nothing was made");
}
