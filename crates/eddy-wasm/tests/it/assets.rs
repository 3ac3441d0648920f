//! The committed guests are what their sources make. `EDDY_RECORD=1` (guests/build.sh)
//! records the sources after a build.

use eddy_types::Digest;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files_in(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of sources is there") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files_in(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The digest over names and contents, sorted by name.
fn digest_of_sources(name: &str) -> Digest {
    let root = root();
    let guest = root.join("guests").join(name);
    let mut files = vec![guest.join("Cargo.toml"), guest.join("Cargo.lock")];
    files_in(&guest.join("src"), &mut files);
    files_in(&root.join("wit"), &mut files);
    let mut parts: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below the root");
            (
                name.to_string_lossy().into_owned(),
                fs::read(path).expect("a readable source"),
            )
        })
        .collect();
    parts.sort();
    let parts: Vec<&[u8]> = parts
        .iter()
        .flat_map(|(name, content)| [name.as_bytes(), content])
        .collect();
    Digest::of_parts(&parts)
}

/// As guests/js-runtime/tools/sources prints it: the digest of the lines of `sha256sum`.
fn digest_of_runtime() -> Digest {
    let root = root();
    let guest = root.join("guests/js-runtime");
    let mut files: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock", "build.sh"]
        .iter()
        .map(|name| guest.join(name))
        .collect();
    files_in(&guest.join("src"), &mut files);
    files_in(&root.join("wit"), &mut files);
    let mut named: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below the root");
            (name.to_string_lossy().into_owned(), path)
        })
        .collect();
    named.sort();
    let lines: String = named
        .iter()
        .map(|(name, path)| {
            format!(
                "{}  {name}\n",
                Digest::of(&fs::read(path).expect("a readable source"))
            )
        })
        .collect();
    Digest::of(lines.as_bytes())
}

#[test]
fn the_javascript_runtime_is_built_from_its_sources() {
    let recorded = root().join("crates/eddy-wasm/assets/js-runtime.sources.sha256");
    let text = fs::read_to_string(&recorded).expect("the record is there");
    let sources = digest_of_runtime().to_string();
    assert_eq!(
        text.trim(),
        sources,
        "run guests/js-runtime/build.sh: its sources changed"
    );
}

#[test]
fn assets_are_built_from_the_sources_beside_them() {
    for name in ["bench-guest", "files-guest", "hostile-guest", "http-guest"] {
        let recorded = format!("crates/eddy-wasm/assets/{name}.sources.sha256");
        let recorded = root().join(recorded);
        let sources = digest_of_sources(name).to_string();
        if std::env::var_os("EDDY_RECORD").is_some() {
            fs::write(&recorded, format!("{sources}\n")).expect("assets is writable");
        }
        let text = fs::read_to_string(&recorded).expect("the record is there");
        assert_eq!(
            text.trim(),
            sources,
            "run guests/build.sh {name}: its sources changed"
        );
    }
}
