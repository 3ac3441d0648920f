//! Packages of `node_modules`: what is found, how CommonJS becomes modules, and what cannot be had. That
//! the result runs is tested with the real binary, in crates/eddy.

use super::{error, js, modules, project};
use eddy_bundle::{bundle, bundle_noting};

/// Names and sources of what a bundle holds, without the wrapping of CommonJS.
fn shown(files: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for module in modules(files) {
        text += &format!("--- {}\n{}\n", module.name, module.source.trim_end());
    }
    text
}

#[test]
fn builds_for_browsers_and_workers_are_taken() {
    let package = r##"{ "name": "p", "exports": {
        ".": { "node": "./node.js", "browser": "./web.js", "default": "./other.js" },
        "./sub/*": { "require": "./sub/*.cjs", "import": "./sub/*.mjs" },
        "./types": { "types": "./t.d.ts", "default": "./t.js" } },
        "imports": { "#own": "./own.js" }, "type": "module" }"##;
    let old = r#"{ "name": "old", "main": "./main.js", "module": "./esm.js" }"#;
    let text = shown(&[
        (
            "main.ts",
            "import p from 'p'; import { a } from 'p/sub/a'; import t from 'p/types'; import { b } from 'old';\nimport '@s/c/deep'; export const all = [p, a, t, b];",
        ),
        ("node_modules/p/package.json", package),
        (
            "node_modules/p/web.js",
            "import own from '#own'; export default own;",
        ),
        (
            "node_modules/p/own.js",
            "export default 'web ' + process.env.NODE_ENV;",
        ),
        ("node_modules/p/sub/a.mjs", "export const a = 1;"),
        ("node_modules/p/t.js", "export default 2;"),
        ("node_modules/old/package.json", old),
        ("node_modules/old/esm.js", "export { b } from './part';"),
        ("node_modules/old/part.js", "export const b = 3;"),
        ("node_modules/@s/c/package.json", "{ \"name\": \"@s/c\" }"),
        ("node_modules/@s/c/deep/index.js", "export {};"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn common_js_is_wrapped_and_exports_what_is_asked_for() {
    let text = shown(&[
        (
            "main.ts",
            "import ms, { parse as p } from 'ms'; import * as all from 'ms'; import type { T } from 'ms';\nexport { format } from 'ms'; export const f = (t: T) => [ms, p, all.unit];",
        ),
        (
            "node_modules/ms/package.json",
            "{ \"name\": \"ms\", \"main\": \"./lib\" }",
        ),
        (
            "node_modules/ms/lib/index.js",
            "#!/usr/bin/env node\n'use strict';\nvar data = require('../data.json');\nconst esm = require('./esm.mjs');\nif (process.env.NODE_ENV !== 'production') require('fs');\nmodule.exports = require('./ms')(data, esm, require(name));",
        ),
        (
            "node_modules/ms/lib/ms.js",
            "exports.parse = 1; require('./index');",
        ),
        ("node_modules/ms/lib/esm.mjs", "export default 1;"),
        ("node_modules/ms/data.json", "{}"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn what_a_package_leaves_out_is_empty() {
    let package =
        r#"{ "name": "p", "main": "./i.js", "browser": { "fs": false, "./n.js": "./b.js" } }"#;
    let text = shown(&[
        ("main.ts", "import p from 'p'; export default p;"),
        ("node_modules/p/package.json", package),
        (
            "node_modules/p/i.js",
            "import fs, { readFile } from 'fs'; import n from './n.js'; export default [fs, readFile, n];",
        ),
        ("node_modules/p/b.js", "export default 'b';"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn what_cannot_be_had_says_what_to_do() {
    insta::assert_snapshot!(error(&[
        (
            "main.ts",
            "import { z } from 'zod';\nimport hidden from 'p/hidden';\nimport fs from 'node:fs';\nimport net from 'net';\nimport { createHash } from 'crypto';\nexport * from 'q';\nimport addon from 'r';\nexport default [z, hidden, fs, net, createHash, addon];",
        ),
        (
            "node_modules/p/package.json",
            "{ \"name\": \"p\", \"exports\": { \".\": \"./p.js\" } }"
        ),
        ("node_modules/p/p.js", ""),
        ("node_modules/q/index.js", "exports.q = 1;"),
        (
            "node_modules/r/package.json",
            "{ \"name\": \"r\", \"main\": \"./r.node\" }"
        ),
        ("node_modules/r/r.node", ""),
    ]));
}

#[test]
fn places_in_common_js_are_the_packages_own() {
    let modules = modules(&[
        ("main.ts", "import p from 'p'; export default p;"),
        (
            "node_modules/p/index.js",
            "\n\nmodule.exports = () => {\n  throw new Error('here');\n};\n",
        ),
    ]);
    let wrapped = &modules[1];
    let line = wrapped.source.lines().position(|line| {
        line.contains("new Error('here')") || line.contains("new Error(\"here\")")
    });
    let column = wrapped
        .source
        .lines()
        .nth(line.unwrap())
        .unwrap()
        .find("throw")
        .unwrap();
    let map = wrapped.source_map.clone().unwrap();
    let maps = eddy_bundle::SourceMaps::new([(wrapped.name.clone(), map)]);
    let stack = format!(
        "    at <anonymous> ({}:{}:{})",
        wrapped.name,
        line.unwrap() + 1,
        column + 1
    );
    let mapped = maps.remap_stack(&stack);
    assert!(mapped.contains("node_modules/p/index.js:4:3"), "{mapped}");
}

#[test]
fn names_that_code_shows_are_exported() {
    let text = shown(&[
        (
            "main.ts",
            "export * from 'c'; const all = await import('c'); export default all;",
        ),
        (
            "node_modules/c/index.js",
            "exports.one = 1; module.exports.two = 2; exports['three-4'] = 3;\nObject.defineProperty(exports, 'five', { value: 5 });\n__exportStar(require('./more'), exports);",
        ),
        (
            "node_modules/c/more.js",
            "module.exports = { six: 6, 'seven': 7, [eight]: 8, ...require('./last') };",
        ),
        (
            "node_modules/c/last.js",
            "module.exports = require('./index'); exports.nine = 9;",
        ),
    ]);
    let facade = text
        .split("--- ")
        .find(|part| part.starts_with("node_modules/c/index.js?import"));
    insta::assert_snapshot!(facade.unwrap());
}

#[test]
fn the_default_is_that_of_node_for_files_that_are_modules_there() {
    let compiled = "exports.__esModule = true; exports.default = 1;";
    let text = shown(&[
        (
            "main.ts",
            "import c from 'c'; import w from 'w'; import m from 'm'; export default [c, w, m];",
        ),
        ("node_modules/c/index.js", compiled),
        ("node_modules/w/package.json", "{ \"module\": \"./w.mjs\" }"),
        (
            "node_modules/w/w.mjs",
            "import c from 'c'; export default c;",
        ),
        (
            "node_modules/m/package.json",
            "{ \"type\": \"module\", \"main\": \"i.js\" }",
        ),
        (
            "node_modules/m/i.js",
            "import c from 'c'; export default c;",
        ),
    ]);
    let imports = text.lines().filter(|line| line.starts_with("import c"));
    let imports: Vec<_> = imports.collect();
    let of_node = "import c from \"node_modules/c/index.js?import=node\";";
    assert_eq!(
        imports,
        [
            "import c from \"node_modules/c/index.js?import\";",
            of_node,
            of_node
        ]
    );
}

/// The modules' names, in order.
fn names(files: &[(&str, &str)]) -> Vec<String> {
    modules(files)
        .into_iter()
        .map(|module| module.name)
        .collect()
}

#[test]
fn the_nearest_package_counts_and_its_own_come_first() {
    let found = names(&[
        ("main.ts", "import 'a'; import 'b';"),
        ("node_modules/a/index.mjs", "import 'b'; import 'a/own';"),
        ("node_modules/a/own.mjs", ""),
        (
            "node_modules/a/package.json",
            "{ \"name\": \"a\", \"exports\": { \".\": \"./index.mjs\", \"./own\": \"./own.mjs\" } }",
        ),
        ("node_modules/a/node_modules/b/index.mjs", ""),
        ("node_modules/b/index.mjs", ""),
    ]);
    assert_eq!(
        found,
        [
            "main.ts",
            "node_modules/a/index.mjs",
            "node_modules/b/index.mjs",
            "node_modules/a/node_modules/b/index.mjs",
            "node_modules/a/own.mjs"
        ]
    );
}

#[test]
#[cfg(unix)]
fn packages_are_found_through_the_links_of_pnpm() {
    let folder = project(&[
        ("main.ts", "import a from 'a'; export default a;"),
        (
            "node_modules/.pnpm/a@1/node_modules/a/index.mjs",
            "import b from '@s/b'; export default b;",
        ),
        (
            "node_modules/.pnpm/@s+b@1/node_modules/@s/b/package.json",
            "{ \"name\": \"@s/b\", \"module\": \"b.mjs\" }",
        ),
        (
            "node_modules/.pnpm/@s+b@1/node_modules/@s/b/b.mjs",
            "export default 1;",
        ),
        ("node_modules/.pnpm/a@1/node_modules/@s/.keep", ""),
    ]);
    let link = |to: &str, at: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(at)).expect("a link");
    };
    link(".pnpm/a@1/node_modules/a", "node_modules/a");
    link(
        "../../../@s+b@1/node_modules/@s/b",
        "node_modules/.pnpm/a@1/node_modules/@s/b",
    );
    let modules = js(bundle(&folder.path().join("main.ts")).expect("it bundles"));
    let names: Vec<_> = modules.iter().map(|module| &module.name[..]).collect();
    assert_eq!(
        names,
        [
            "main.ts",
            "node_modules/.pnpm/a@1/node_modules/a/index.mjs",
            "node_modules/.pnpm/@s+b@1/node_modules/@s/b/b.mjs"
        ]
    );
}

#[test]
fn a_package_outside_of_the_project_is_refused() {
    let folder = project(&[
        ("shop/main.ts", "import 'a';"),
        ("node_modules/a/index.mjs", ""),
    ]);
    let error = bundle(&folder.path().join("shop/main.ts")).expect_err("it is outside");
    assert!(
        error.to_string().contains("is outside the project folder"),
        "{error}"
    );
}

#[test]
fn the_way_to_a_package_is_told() {
    insta::assert_snapshot!(error(&[
        ("main.ts", "import './lib';"),
        ("lib.ts", "import '@s/a';"),
        (
            "node_modules/@s/a/package.json",
            "{ \"exports\": { \"import\": \"./dist/a.js\" } }"
        ),
        ("node_modules/@s/a/dist/a.js", "import 'b'; export {};"),
        (
            "node_modules/b/index.mjs",
            "import fs from 'node:fs';\nimport 'c';\nexport { fs };"
        ),
    ]));
}

#[test]
fn packages_that_lead_round_in_circles_end() {
    let text = error(&[
        ("main.ts", "import 'a';"),
        (
            "node_modules/a/package.json",
            "{ \"browser\": { \"b\": \"c\", \"c\": \"b\" } }",
        ),
        ("node_modules/a/index.mjs", "import 'b';"),
    ]);
    assert!(text.contains("without end"), "{text}");
    let found = names(&[
        ("main.ts", "import 'a';"),
        (
            "node_modules/a/index.mjs",
            "import 'b'; export const a = 1;",
        ),
        (
            "node_modules/b/index.mjs",
            "import 'a'; export const b = 1;",
        ),
    ]);
    assert_eq!(found.len(), 3);
}

#[test]
fn saves_of_packages_are_seen_by_what_installs_them() {
    let folder = project(&[
        ("main.ts", "import 'a';"),
        ("node_modules/a/index.mjs", "import './b.mjs';"),
        ("node_modules/a/b.mjs", ""),
    ]);
    let mut looked_at = Vec::new();
    bundle_noting(&folder.path().join("main.ts"), None, &mut looked_at).expect("it bundles");
    let root = folder.path().canonicalize().expect("it is there");
    let below = looked_at
        .iter()
        .filter_map(|path| path.strip_prefix(&root).ok());
    let below: std::collections::BTreeSet<_> = below.filter_map(|path| path.to_str()).collect();
    insta::assert_debug_snapshot!(below);
}
