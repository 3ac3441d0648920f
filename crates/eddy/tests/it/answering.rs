//! A component that answers HTTP, from the command line.

use crate::binary::command;
use crate::node::{Node, Setup};
use std::path::{Path, PathBuf};
use std::process::Output;

fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../eddy-wasm/assets/http-guest.wasm")
}

fn eddy(node: &Node, args: &[&str]) -> Output {
    let ran = command(args).env("EDDY_URL", &node.url).output();
    ran.expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_is_deployed_as_it_is_and_shown_with_its_routes() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::with(&dir.path().join("data"), &Setup::default());
    let guest = guest();
    let deployed = eddy(&node, &["deploy", guest.to_str().unwrap()]);
    assert!(deployed.status.success(), "{}", text(&deployed.stderr));
    let listed = text(&eddy(&node, &["ls"]).stdout);
    assert!(listed.contains("METHODS, ROUTES"), "{listed}");
    assert!(listed.contains("/apps/http-guest/"), "{listed}");

    let invoked = eddy(&node, &["invoke", "http-guest"]);
    let told = text(&invoked.stderr);
    assert_eq!(invoked.status.code(), Some(2), "{told}");
    assert!(told.starts_with("error[not-invocable]"), "{told}");
    assert!(told.contains("/apps/http-guest/"), "{told}");
}

#[test]
fn a_folder_routes_paths_to_components_and_up_says_what_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("shop");
    std::fs::create_dir(&app).unwrap();
    for name in ["web.wasm", "api.wasm"] {
        std::fs::copy(guest(), app.join(name)).unwrap();
    }
    let manifest = |routes: &str| {
        let components =
            "[components.web]\npath = \"web.wasm\"\n[components.api]\npath = \"api.wasm\"\n";
        std::fs::write(
            app.join("eddy.toml"),
            format!("name = \"shop\"\n{components}{routes}"),
        )
        .unwrap();
    };
    manifest("");
    let node = Node::with(&dir.path().join("data"), &Setup::default());
    let folder = app.to_str().unwrap();
    let refused = text(&eddy(&node, &["deploy", folder]).stderr);
    assert!(refused.contains("error[invalid-manifest]"), "{refused}");
    assert!(refused.contains("[routes]"), "{refused}");
    manifest("[routes]\n\"/api/\" = \"api\"\n");
    let refused = text(&eddy(&node, &["deploy", folder]).stderr);
    assert!(refused.contains("without a slash at its end"), "{refused}");
    manifest("[routes]\n\"/api\" = \"api\"\n");
    let deployed = eddy(&node, &["deploy", folder]);
    assert!(deployed.status.success(), "{}", text(&deployed.stderr));
    let listed = text(&deployed.stdout);
    assert!(
        listed.contains("/apps/shop/api") && listed.contains("/apps/shop/\n"),
        "{listed}"
    );
}
