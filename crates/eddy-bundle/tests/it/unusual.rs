//! Packages that are written or linked in less usual ways, and files that nobody should have to wait for.

use super::{error, modules, project};
use eddy_bundle::bundle;

/// The source of one module.
fn source(files: &[(&str, &str)], name: &str) -> String {
    let found = modules(files)
        .into_iter()
        .find(|module| module.name == name);
    found.expect("the module is there").source
}

#[test]
fn the_environment_is_replaced_in_each_form_and_only_where_it_is_meant() {
    let source = source(
        &[(
            "main.js",
            "export const all = [process?.env?.NODE_ENV, process.env[\"NODE_ENV\"], process[\"env\"].NODE_ENV, process.env.NODE_ENV?.length];\n\
             export function own(process) { return process.env.NODE_ENV; }",
        )],
        "main.js",
    );
    assert_eq!(source.matches("\"production\"").count(), 4, "{source}");
    assert_eq!(source.matches("process").count(), 2, "{source}");
}

#[test]
fn a_browser_field_that_names_the_package_itself_means_the_package() {
    let found = modules(&[
        ("main.ts", "import 'a';"),
        (
            "node_modules/a/package.json",
            "{ \"browser\": { \"dep\": \"dep\" } }",
        ),
        ("node_modules/a/index.mjs", "import 'dep';"),
        ("node_modules/dep/index.mjs", "export {};"),
    ]);
    assert!(
        found
            .iter()
            .any(|module| module.name == "node_modules/dep/index.mjs")
    );
}

#[test]
fn a_target_that_would_grow_without_bound_is_none() {
    let package = format!(
        "{{ \"exports\": {{ \"./*\": \"./{}\" }} }}",
        "*".repeat(1 << 20)
    );
    let import = format!("import 'p/{}';", "x".repeat(1 << 14));
    let text = error(&[
        ("main.ts", &import),
        ("node_modules/p/package.json", &package),
    ]);
    assert!(
        text.contains("the package has nothing for"),
        "{:.300}",
        text
    );
}

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
