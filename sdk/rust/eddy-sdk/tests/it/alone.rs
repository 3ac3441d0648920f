//! The crates stand alone: they are copied into projects as they are.

use std::path::Path;

#[test]
fn nothing_is_inherited_from_this_workspace() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for package in ["eddy-sdk", "eddy-sdk-macros"] {
        let manifest = std::fs::read_to_string(sdk.join(package).join("Cargo.toml")).unwrap();
        let lines = manifest.lines().filter(|line| !line.starts_with('#'));
        let outside: Vec<_> = lines
            .filter(|line| line.contains("workspace") || line.contains("../.."))
            .collect();
        assert!(outside.is_empty(), "{package}: {outside:?}");
    }
}
