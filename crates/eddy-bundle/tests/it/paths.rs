//! What a path may be.

use super::{bundle_files, error, js, project, shop};
use eddy_bundle::{BundledCode, bundle, bundle_noting};
use eddy_types::limits::MAX_DEPLOY_BYTES;
use eddy_types::{EddyError, ErrorCode};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const CORE: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn a_single_file_is_an_app_of_its_name() {
    let bundle =
        bundle_files(&[("my counter.ts", "export {};")], "my counter.ts").expect("it bundles");
    assert_eq!(bundle.manifest.name.as_str(), "my-counter");
    assert_eq!(js(bundle)[0].name, "my counter.ts");
}

#[test]
fn a_component_passes_and_other_bytes_do_not() {
    let folder = project(&[]);
    let path = folder.path().join("app.wasm");
    std::fs::write(&path, COMPONENT).expect("a file");
    let bundled = bundle(&path).expect("it is a component");
    assert_eq!(
        bundled.components[0].code,
        BundledCode::Wasm(COMPONENT.to_vec())
    );
    let mut errors = Vec::new();
    for bytes in [CORE, b"\0asm\x0c\0\x01\0", b"\0asm", b"(module)", b""] {
        std::fs::write(&path, bytes).expect("a file");
        let error = bundle(&path).expect_err("it is no component");
        assert_eq!(error.code, ErrorCode::InvalidComponent);
        errors.push(EddyError::from(error).to_string());
    }
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_component_counts_as_large_as_it_is_sent() {
    let folder = project(&[]);
    let path = folder.path().join("app.wasm");
    let file = std::fs::File::create(&path).expect("a file");
    let bundled = |bytes: usize| {
        file.set_len(bytes as u64).expect("a file with a hole");
        bundle(&path)
            .expect_err("it is too large, or no component")
            .code
    };
    // In base64.
    let most = MAX_DEPLOY_BYTES / 4 * 3;
    assert_eq!(bundled(most), ErrorCode::InvalidComponent);
    assert_eq!(bundled(most + 1), ErrorCode::PayloadTooLarge);
}

#[test]
fn a_folder_finds_its_entry_or_says_what_it_tried() {
    let toml = ("eddy.toml", "name = 'x'");
    let bundle = bundle_files(&[toml, ("src/index.ts", "import '../a'"), ("a.ts", "")], "");
    let bundle = bundle.expect("it bundles");
    let names: Vec<_> = js(bundle).into_iter().map(|module| module.name).collect();
    assert_eq!(names, ["src/index.ts", "a.ts"]);
    insta::assert_snapshot!(bundle_files(&[toml], "").expect_err("no entry").to_string());
}

#[test]
fn components_come_in_the_order_of_the_manifest() {
    let toml = "name = 'x'\n[components]\nb.path = 'b.ts'\na.path = 'a.ts'\n";
    let bundle = bundle_files(
        &[("eddy.toml", toml), ("a.ts", ""), ("b.ts", "")],
        "eddy.toml",
    );
    let bundle = bundle.expect("it bundles");
    let names: Vec<_> = bundle.components.iter().map(|c| c.name.as_str()).collect();
    let keys: Vec<_> = bundle
        .manifest
        .components
        .keys()
        .map(eddy_types::Name::as_str)
        .collect();
    assert_eq!((&names, names.len()), (&keys, 2));
}

#[test]
fn paths_that_mean_nothing_are_refused() {
    assert!(error(&[("a.rb", "")]).contains("is not something that can be deployed"));
    let missing = bundle(std::path::Path::new("no/such/file.ts")).expect_err("it is not there");
    assert_eq!(missing.code, ErrorCode::InvalidArgument);
    let empty = project(&[]);
    let error = bundle(empty.path()).expect_err("no manifest");
    assert_eq!(error.code, ErrorCode::InvalidManifest);
    let toml = "name = 'x'\ncomponents.main.path = '../a.ts'\n";
    let outside = bundle_files(&[("p/eddy.toml", toml), ("a.ts", "")], "p").expect_err("outside");
    assert!(
        outside.to_string().contains("outside the project folder"),
        "{outside}"
    );
}

#[test]
fn the_shop_bundles() {
    let bundle = bundle(&shop()).expect("the example bundles");
    assert_eq!(bundle.manifest.name.as_str(), "shop");
    assert!(js(bundle).len() > 1);
}

/// Whoever waits for saves is told of all of a Rust project's sources, also when it does not build.
#[test]
fn the_sources_of_a_rust_project_are_looked_at() {
    let folder = project(&[
        ("eddy.toml", "name = 'x'"),
        ("Cargo.toml", "no manifest"),
        ("src/lib.rs", ""),
        ("src/deep/part.rs", ""),
        ("src/notes.txt", ""),
        ("target/made.rs", ""),
        (".git/kept.rs", ""),
    ]);
    let mut looked_at = Vec::new();
    let failed = bundle_noting(folder.path(), None, &mut looked_at).expect_err("it is broken");
    assert_eq!(failed.code, ErrorCode::InvalidSource, "{failed}");
    let looks_at = |name: &str| looked_at.iter().any(|path| path.ends_with(name));
    for name in ["eddy.toml", "Cargo.toml", "src/lib.rs", "src/deep/part.rs"] {
        assert!(looks_at(name), "not at {name}: {looked_at:?}");
    }
    for name in ["src/notes.txt", "target/made.rs", ".git/kept.rs"] {
        assert!(!looks_at(name), "at {name}: {looked_at:?}");
    }
}

/// What it depends on by path is built with it, and so looked at, however the path is said.
#[test]
fn so_are_the_folders_that_a_rust_project_depends_on() {
    let folder = project(&[
        (
            "Cargo.toml",
            "[workspace.dependencies]\nshared = { path = 'shared' }\nother.path = 'other'",
        ),
        ("app/eddy.toml", "name = 'x'"),
        (
            "app/Cargo.toml",
            "[dependencies]\nnear = { path = '../near' }\nserde = '1'\n[target.'cfg(unix)'.build-dependencies]\nshared = { workspace = true }",
        ),
        ("app/src/lib.rs", ""),
        (
            "near/Cargo.toml",
            "[dependencies.far]\npath = '../far'\n[dev-dependencies]\napp = { path = '../app' }",
        ),
        ("near/src/lib.rs", ""),
        ("far/src/lib.rs", ""),
        ("shared/src/lib.rs", ""),
        ("stranger/src/lib.rs", ""),
    ]);
    let mut looked_at = Vec::new();
    bundle_noting(&folder.path().join("app"), None, &mut looked_at).expect_err("it is no package");
    let looks_at = |name: &str| looked_at.iter().any(|path| path.ends_with(name));
    for name in ["app/src", "near/src", "far/src", "shared/src"] {
        let name = format!("{name}/lib.rs");
        assert!(looks_at(&name), "not at {name}: {looked_at:?}");
    }
    assert!(!looks_at("stranger/src/lib.rs"), "{looked_at:?}");
}
