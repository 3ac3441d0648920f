//! Packages that are written or linked in less usual ways, and files that nobody should have to wait for.

use super::project;
use eddy_bundle::bundle;

#[test]
#[cfg(unix)]
fn a_package_json_that_is_no_file_is_none() {
    let folder = project(&[
        ("main.ts", "import 'p';"),
        ("node_modules/p/index.js", "export {};"),
    ]);
    let pipe = folder.path().join("node_modules/p/package.json");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    bundle(&folder.path().join("main.ts")).expect("it bundles");
}
