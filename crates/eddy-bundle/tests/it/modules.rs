//! Imports: what they resolve to, and what is refused.

use super::{bundle_files, error, js, modules, project};
use eddy_bundle::bundle;

/// Names of the modules, and the import lines of the first.
fn resolved(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let modules = modules(files);
    let imports = modules[0]
        .source
        .lines()
        .filter(|line| line.contains("import") || line.contains("from"));
    let imports = imports.map(str::to_owned).collect();
    (
        modules.iter().map(|module| module.name.clone()).collect(),
        imports,
    )
}

#[test]
fn each_form_of_import_is_followed_once() {
    let main = r#"
import { fn } from "eddy";
import { one } from "./lib/one";
import "./lib/two.js";
import data from "./data.json" with { type: "json" };
import type { T } from "./types";
import { U } from "./types";
export * from "./lib";
export { three } from "./lib/../three.mjs";
export const f = fn(async () => { const u: U = one; return [u, data, await import("./one.ts")]; });
"#;
    let (names, imports) = resolved(&[
        ("main.ts", main),
        (
            "lib/one.ts",
            "import { self } from \"../main\"; export const one = 1 as number; void self;",
        ),
        ("lib/two.ts", "export {};"),
        ("lib/index.ts", "export const index = 1;"),
        ("three.mjs", "export const three = 3;"),
        ("one.ts", "export {};"),
        ("data.json", "{\"__proto__\": 1}"),
        ("types.ts", "export type T = 1; export type U = number;"),
    ]);
    insta::assert_debug_snapshot!((names, imports));
}

#[test]
fn json_is_a_module() {
    let modules = modules(&[
        ("a.ts", "import d from './d.json'; console.log(d)"),
        ("d.json", "[\"a\u{2028}\\n\"]"),
    ]);
    insta::assert_snapshot!(modules[1].source);
    let named = self::modules(&[
        ("a.ts", "import { b } from './d.json'; console.log(b)"),
        ("d.json", r#"{"b": 1, "c-d": 2, "default": 3, "if": 4}"#),
    ]);
    insta::assert_snapshot!(named[1].source);
    insta::assert_snapshot!(error(&[
        ("a.ts", "import d from './d.json'; console.log(d)"),
        ("d.json", "{\n  \"a\": 1,\n}")
    ]));
}

#[test]
fn bad_imports_say_why_and_what_to_do() {
    insta::assert_snapshot!(error(&[
        (
            "a.ts",
            r#"import { one } from "./one";
import _ from "lodash";
import fs from "node:fs";
import out from "../out";
import abs from "/etc/passwd";
import cjs from "./old.cjs";
import db from "@/lib/db";
console.log(one, _, fs, out, abs, cjs, db);
"#
        ),
        ("old.cjs", "module.exports = 1;")
    ]));
}

#[test]
#[cfg(unix)]
fn a_link_cannot_lead_outside() {
    let secret = project(&[("secret.ts", "export const secret = 1;")]);
    let folder = project(&[("a.ts", "import { secret } from './s'; console.log(secret);")]);
    let link = folder.path().join("s.ts");
    std::os::unix::fs::symlink(secret.path().join("secret.ts"), link).expect("a link");
    let error = bundle(&folder.path().join("a.ts")).expect_err("it is outside");
    assert!(
        error.to_string().contains("is outside the project folder"),
        "{error}"
    );
}

#[test]
fn problems_of_all_modules_come_together() {
    let error = bundle_files(
        &[
            ("a.ts", "import './b'; import './c';"),
            ("b.ts", "let = ;"),
            ("c.ts", "import 'x';"),
        ],
        "a.ts",
    )
    .expect_err("two modules are wrong");
    let files: Vec<_> = error
        .problems
        .iter()
        .flat_map(|p| &p.place)
        .map(|(f, ..)| f)
        .collect();
    assert!(
        files.iter().any(|f| *f == "b.ts") && files.iter().any(|f| *f == "c.ts"),
        "{error}"
    );
}

#[test]
fn bundling_twice_gives_the_same_bytes() {
    let files = [
        ("a.ts", "import './b'; import './c'; export enum E { A }"),
        ("b.ts", ""),
        ("c.ts", ""),
    ];
    let once = || js(bundle_files(&files, "a.ts").expect("it bundles"));
    assert_eq!(once(), once());
}

#[test]
fn too_many_modules_are_refused() {
    let all: String = (1..=2000).map(|i| format!("import './m{i}';\n")).collect();
    let folder = project(&[("m0.js", &all)]);
    for i in 1..=2000 {
        std::fs::write(folder.path().join(format!("m{i}.js")), "").expect("a file");
    }
    let error = bundle(&folder.path().join("m0.js")).expect_err("2,001 modules");
    assert!(
        error.to_string().contains("more than 2000 modules"),
        "{error}"
    );
}
