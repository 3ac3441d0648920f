//! `eddy test`: the tests of a project, and what is printed of them.

use crate::binary::eddy;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

const APP: &str = r#"
import { agent, fn, query, EddyError } from "eddy";
export const cart = agent({
  add(ctx, { sku }: { sku: string }) {
    ctx.state.set("items", [...(ctx.state.get<string[]>("items") ?? []), sku]);
    ctx.after(24 * 3600 * 1000, "forget");
  },
  forget(ctx) { ctx.state.delete("items"); },
  items: query((ctx) => ctx.state.get("items") ?? []),
  tick(ctx) {
    ctx.state.set("at", [...(ctx.state.get<number[]>("at") ?? []), ctx.now]);
    ctx.after(3600_000, "tick");
  },
  ticks: query((ctx) => ctx.state.get("at") ?? []),
  fail() { throw new EddyError("out-of-stock", "nothing left", { status: 409 }); },
});
export const slow = fn(async () => { await new Promise((r) => setTimeout(r, 3600_000)); return "slept"; });
export const secret = fn((ctx) => ctx.env("TOKEN"));
"#;

/// A project with an app and one test file.
fn project(tests: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write =
        |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    let manifest = "name = \"cart\"\n[env]\nTOKEN = { secret = \"TOKEN\" }\n";
    write("eddy.toml", manifest);
    write("index.ts", APP);
    std::fs::create_dir(dir.path().join("tests")).expect("made");
    write("tests/cart.test.ts", tests);
    dir
}

fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    run_with(dir, args, &[])
}

fn run_with(dir: &Path, args: &[&str], env: &[(&str, &Path)]) -> (i32, String, String) {
    let path = dir.to_str().expect("UTF-8");
    let mut command = crate::binary::command(&[&["test", path], args].concat());
    let output = command
        .envs(env.iter().copied())
        .env("EDDY_SECRET_TOKEN", "s3cret")
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .expect("UTF-8")
            .replace(path, "DIR")
    };
    (
        output.status.code().expect("it ends"),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn time_is_put_forward_and_what_falls_due_happens_in_order() {
    let dir = project(
        r#"
import { test, assert } from "eddy/test";
test("it is forgotten after a day, not before", async (t) => {
  await t.call("cart", "alice", "add", { sku: "apple" });
  await t.advance("23h 59m");
  assert.equal(await t.call("cart", "alice", "items"), ["apple"]);
  await t.advance(61_000);
  assert.equal(await t.call("cart", "alice", "items"), []);
});
test("an hourly timer fires each hour, at its time", async (t) => {
  await t.call("cart", "bob", "tick");
  await t.advance("1day 1m");
  const at: number[] = await t.call("cart", "bob", "ticks");
  assert.equal(at.length, 25);
  for (let i = 1; i < at.length; i++) {
    // The clock also goes on by itself, as long as the work takes.
    const late = at[i] - at[i - 1] - 3600_000;
    assert(late >= 0 && late < 300_000, `${i}: ${late}`);
  }
});
test("tests share nothing", async (t) => {
  assert.equal(await t.call("cart", "alice", "items"), []);
});
test("sleeps within a turn end", async (t) => {
  const work = t.invoke("slow");
  await t.advance("1h 1m");
  assert.equal(await work, "slept");
});
test("errors, secrets and ten years", async (t) => {
  await assert.rejects(t.call("cart", "x", "fail"), "out-of-stock");
  assert.equal(await t.invoke("secret"), "s3cret");
  await t.advance("3600days");
});
"#,
    );
    let (code, stdout, stderr) = run(dir.path(), &[]);
    assert_eq!((code, stdout.as_str()), (0, "5 passed\n"), "{stderr}");
}

const FAILING: &str = r#"import { test, assert } from "eddy/test";

test("it adds", (t) => {
  t.log("looking");
  assert.equal({ a: 1, b: ["x"] }, { a: 2, b: ["x"] }, "the sum");
});

test("it throws", async (t) => {
  await t.call("cart", "x", "fail");
});

test("it passes", () => {});
"#;

#[test]
fn failures_are_told_with_their_lines() {
    let dir = project(FAILING);
    let (code, stdout, stderr) = run(dir.path(), &[]);
    insta::with_settings!({filters => vec![("\\([0-9]+ ms\\)", "(N ms)")]}, {
        insta::assert_snapshot!(format!("[{code}]\n{stdout}{stderr}"));
    });
    let (code, stdout, stderr) = run(dir.path(), &["--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&stdout).expect("one document");
    assert_eq!(
        (&report["passed"], &report["failed"]),
        (&1.into(), &2.into())
    );
    assert_eq!(report["tests"][0]["logs"][0]["message"], "looking");
    assert_eq!(report["tests"][1]["error"]["guest"]["name"], "out-of-stock");
    let problem: Value = serde_json::from_str(&stderr).expect("a problem");
    assert_eq!(problem["code"], "tests-failed");
    let (code, stdout, _) = run(dir.path(), &["--filter", "passes"]);
    assert_eq!((code, stdout.as_str()), (0, "1 passed\n"));
}

#[test]
fn a_project_that_cannot_be_tested_says_why() {
    let none = project("");
    std::fs::remove_file(none.path().join("tests/cart.test.ts")).expect("removed");
    let broken = project("import { test } from \"eddy/test\";\ntest(\"x\", () => {\n");
    let twice = project(
        "import { test } from \"eddy/test\";\ntest(\"x\", () => {});\ntest(\"x\", () => {});\n",
    );
    let mut all = Vec::new();
    for dir in [&none, &broken, &twice] {
        let (code, stdout, stderr) = run(dir.path(), &[]);
        all.push(format!("[{code}]\n{stdout}{stderr}"));
    }
    let app = project("");
    std::fs::write(
        app.path().join("index.ts"),
        "import { test } from \"eddy/test\";\ntest();\n",
    )
    .expect("written");
    let ran = eddy(&["deploy", app.path().to_str().expect("UTF-8")]);
    all.push(format!(
        "[{}]\n{}",
        ran.code,
        ran.stderr
            .replace(app.path().to_str().expect("UTF-8"), "DIR")
    ));
    insta::assert_snapshot!(all.join("\n"));
}

/// The node goes with its data, and what was compiled stays for the next one, for nobody else to write.
#[test]
fn what_was_compiled_is_kept_in_the_users_cache() {
    let dir = project("import { test } from \"eddy/test\";\ntest(\"passes\", () => {});\n");
    let caches = tempfile::tempdir().expect("a temporary folder");
    let cache = caches.path().join("cache");
    let kept = || {
        let files = std::fs::read_dir(cache.join("code")).expect("a folder");
        let files = files.map(|file| file.expect("an entry").path());
        let code = files.filter(|path| path.extension().is_some_and(|end| end == "cwasm"));
        let code: Vec<_> = code.collect();
        let times = code.iter().map(|path| std::fs::metadata(path)?.modified());
        (
            code.clone(),
            times.collect::<Result<Vec<_>, _>>().expect("times"),
        )
    };
    let env = [("EDDY_CACHE_DIR", cache.as_path())];
    assert_eq!(run_with(dir.path(), &[], &env).0, 0);
    let first = kept();
    assert_eq!(first.0.len(), 1, "the JavaScript runtime: {first:?}");
    assert_eq!(run_with(dir.path(), &[], &env).0, 0);
    assert_eq!(kept(), first, "nothing was compiled again");
    let key = std::fs::metadata(cache.join("code/key")).expect("a key");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    // A cache that cannot be used costs time only.
    let file = caches.path().join("file");
    std::fs::write(&file, "").expect("written");
    let (code, stdout, stderr) = run_with(dir.path(), &[], &[("EDDY_CACHE_DIR", &file)]);
    assert_eq!((code, stdout.as_str()), (0, "1 passed\n"), "{stderr}");
}
