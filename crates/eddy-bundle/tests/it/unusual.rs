//! Packages that are written or linked in less usual ways, and files that nobody should have to wait for.

use super::{error, js, modules, project};
use eddy_bundle::{bundle, bundle_noting};

/// The source of one module.
fn source(files: &[(&str, &str)], name: &str) -> String {
    let found = modules(files)
        .into_iter()
        .find(|module| module.name == name);
    found.expect("the module is there").source
}

#[test]
fn a_required_module_says_that_it_is_one_when_it_has_a_default() {
    let esm = |code: &str| {
        source(
            &[
                ("main.ts", "import p from 'p'; export default p;"),
                (
                    "node_modules/p/index.js",
                    "module.exports = require('./esm.mjs');",
                ),
                ("node_modules/p/esm.mjs", code),
            ],
            "node_modules/p/esm.mjs?require",
        )
    };
    for with in [
        "export default 1;",
        "const a = 1; export { a as default };",
        "export { default } from './esm.mjs'; export const b = 1;",
        "export * as default from './esm.mjs';",
    ] {
        let source = esm(with);
        assert!(source.contains("__esModule = true"), "{with}: {source}");
        assert!(
            source.contains("export { default } from"),
            "{with}: {source}"
        );
    }
    let without = esm("export const a = 1;");
    assert!(
        !without.contains("default") && !without.contains("__esModule"),
        "{without}"
    );
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
fn imports_at_run_time_that_cannot_be_had_fail_in_packages_when_they_run() {
    let code = "import('node:fs'); import('gone'); import(globalThis.name); export {};";
    let found = modules(&[
        ("main.ts", "import 'p';"),
        ("node_modules/p/index.mjs", code),
    ]);
    let made: Vec<_> = found
        .iter()
        .filter(|module| module.source.contains("MODULE_NOT_FOUND"))
        .map(|module| format!("--- {}\n{}", module.name, module.source))
        .collect();
    insta::assert_snapshot!(made.join(""));
    // The user's own code is told at once.
    let own = error(&[("main.ts", code)]);
    assert!(own.contains("there is no Node.js here"), "{own}");
    assert!(own.contains("not known before the code runs"), "{own}");
    // What is imported in any case is told for packages as well.
    let always = error(&[
        ("main.ts", "import 'p';"),
        ("node_modules/p/index.mjs", "import 'node:fs';"),
    ]);
    assert!(always.contains("there is no Node.js here"), "{always}");
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
fn common_js_of_a_linked_package_is_common_js() {
    let folder = project(&[
        (
            "main.ts",
            "import lib from 'lib'; import typed from 'typed'; export default [lib, typed];",
        ),
        ("packages/lib/package.json", "{ \"main\": \"./lib\" }"),
        (
            "packages/lib/lib/index.js",
            "module.exports = require('./part');",
        ),
        ("packages/lib/lib/part.js", "exports.part = 1;"),
        (
            "packages/typed/package.json",
            "{ \"main\": \"./index.ts\" }",
        ),
        // TypeScript names the file that it is compiled to.
        (
            "packages/typed/index.ts",
            "import { one } from './one.js'; export default one;",
        ),
        ("packages/typed/one.ts", "export const one: number = 1;"),
        ("node_modules/.keep", ""),
    ]);
    for name in ["lib", "typed"] {
        let at = folder.path().join("node_modules").join(name);
        std::os::unix::fs::symlink(format!("../packages/{name}"), at).expect("a link");
    }
    let mut looked_at = Vec::new();
    let bundle = bundle_noting(&folder.path().join("main.ts"), None, &mut looked_at);
    let modules = js(bundle.expect("it bundles"));
    let names: Vec<_> = modules.iter().map(|module| &module.name[..]).collect();
    assert_eq!(
        names,
        [
            "main.ts",
            "packages/lib/lib/index.js",
            "packages/typed/index.ts",
            "packages/lib/lib/part.js",
            "packages/typed/one.ts",
            "packages/lib/lib/index.js?import",
        ]
    );
    let root = folder.path().canonicalize().expect("it is there");
    for watched in ["packages/lib/package.json", "packages/lib/lib/part.js"] {
        assert!(looked_at.contains(&root.join(watched)), "{watched}");
    }
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
