//! `eddy agent export` and `import` between real nodes, and over a kill.

use crate::binary::command;
use crate::node::{Node, Setup};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const CODE: &str = r#"
import { agent, query } from "eddy";
let read = 0;
export const cart = agent({
  fill(ctx) {
    ctx.state.set("items", { b: 1.5, a: [1, 2] });
    ctx.state.set("photo", new Uint8Array([0, 255, 10]));
    ctx.after(3_600_000, "remind", { to: "Ada" }, { name: "later" });
  },
  add(ctx, n) {
    read ||= ctx.state.get("n") ?? 0;
    read += n;
    ctx.state.set("n", read);
    return read;
  },
  remind(ctx, argument) {
    ctx.state.set("reminded", argument);
  },
  all: query((ctx) => ctx.state.list().map(([key, value]) => [key, value instanceof Uint8Array ? [...value] : value])),
  large(ctx, n) {
    ctx.state.set("large" + n, "x".repeat(400_000));
  },
});
"#;

struct Run {
    code: i32,
    out: String,
    told: String,
}

/// Runs `eddy` against a node, with this on stdin.
fn eddy(node: &Node, args: &[&str], stdin: &str) -> Run {
    let mut child = command(args)
        .env("EDDY_URL", &node.url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that fails early does not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let done = child.wait_with_output().unwrap();
    Run {
        code: done.status.code().unwrap(),
        out: String::from_utf8(done.stdout).unwrap(),
        told: String::from_utf8(done.stderr).unwrap(),
    }
}

fn good(node: &Node, args: &[&str], stdin: &str) -> String {
    let ran = eddy(node, args, stdin);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.told);
    ran.out
}

fn app(dir: &Path) -> std::path::PathBuf {
    let file = dir.join("shop.ts");
    std::fs::write(&file, CODE).unwrap();
    file
}

fn node(data: &Path, app: &Path) -> Node {
    let setup = Setup {
        app: Some(app),
        ..Setup::default()
    };
    Node::with(data, &setup)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_is_there_on_another_node_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let app = app(dir.path());
    let here = node(&dir.path().join("here"), &app);
    here.call("cart/alice", "fill", "null").await.unwrap();
    here.call("cart/alice", "add", "3").await.unwrap();
    let exported = good(&here, &["agent", "export", "cart/alice"], "");
    let one_line = good(&here, &["agent", "export", "cart/alice", "--json"], "");
    let text: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(text, serde_json::from_str::<Value>(&one_line).unwrap());
    let at = text["timers"]["later"]["at"].as_str().unwrap();
    insta::assert_snapshot!(exported.replace(at, "[at]"));
    assert!(one_line.contains(r#"{"b":1.5,"a":[1,2]}"#), "{one_line}");

    let data = dir.path().join("there");
    let mut there = node(&data, &app);
    good(&there, &["agent", "import", "cart/alice"], &exported);
    there.kill();
    let there = node(&data, &app);
    let again = good(&there, &["agent", "export", "cart/alice", "-"], "");
    assert_eq!(again, exported);
    // The code finds what it would have found at home.
    assert_eq!(there.call("cart/alice", "add", "4").await.unwrap(), "7");
    assert_eq!(
        there.call("cart/alice", "all", "null").await.unwrap(),
        r#"[["items",{"b":1.5,"a":[1,2]}],["n",7],["photo",[0,255,10]]]"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_agent_is_replaced_whole_and_past_timers_fire() {
    let dir = tempfile::tempdir().unwrap();
    let app = app(dir.path());
    let node = node(&dir.path().join("data"), &app);
    assert_eq!(node.call("cart/bob", "add", "1").await.unwrap(), "1");
    node.call("cart/bob", "fill", "null").await.unwrap();
    let document = r#"{"version":1,"type":"cart","key":"alice","state":{"n":{"json":40}},
        "timers":{"soon":{"at":"2026-01-31T12:00:00Z","method":"remind","argument":"now"}}}"#;
    let import = ["agent", "import", "cart/bob", "--replace"];
    good(&node, &import, document);
    // What the instance remembered is gone with it.
    assert_eq!(node.call("cart/bob", "add", "2").await.unwrap(), "42");
    let expected = r#"[["n",42],["reminded","now"]]"#;
    for _ in 0..600 {
        if node.call("cart/bob", "all", "null").await.unwrap() == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        node.call("cart/bob", "all", "null").await.unwrap(),
        expected
    );
    let exported = good(&node, &["agent", "export", "cart/bob", "--json"], "");
    assert!(exported.contains(r#""timers":{}"#), "{exported}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_imported_says_why_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let app = app(dir.path());
    let node = node(&dir.path().join("data"), &app);
    for n in 0..3 {
        let n = n.to_string();
        node.call("cart/big", "large", &n).await.unwrap();
    }
    let large = good(&node, &["agent", "export", "cart/big"], "");
    let document = |state: &str, timers: &str| {
        format!(r#"{{"version":1,"type":"cart","key":"a","state":{state},"timers":{timers}}}"#)
    };
    let timer = |at: &str, method: &str| {
        document(
            "{}",
            &format!(r#"{{"t":{{"at":"{at}","method":"{method}","argument":null}}}}"#),
        )
    };
    let mut text = String::new();
    for (args, stdin) in [
        (&["agent", "import", "cart/new"][..], &large[..]),
        (&["agent", "import", "cart/big"], &document("{}", "{}")),
        (&["agent", "import", "bird/a"], &document("{}", "{}")),
        (&["agent", "import", "cart/a"], "{"),
        (&["agent", "import", "cart/a"], r#"{"version":7}"#),
        (&["agent", "import", "cart/a", "/no/such/file"], ""),
        (
            &["agent", "import", "cart/a"],
            &timer("2026-01-31T12:00:00Z", "fly"),
        ),
        (
            &["agent", "import", "cart/a"],
            &timer("2326-01-31T12:00:00Z", "remind"),
        ),
        (&["agent", "export", "cart/nobody"], ""),
    ] {
        let ran = eddy(&node, args, stdin);
        let line = args.join(" ");
        text += &format!(
            "$ eddy {line}\n{}{}(exit code {})\n\n",
            ran.out, ran.told, ran.code
        );
    }
    insta::assert_snapshot!(text);
    assert_eq!(good(&node, &["agent", "export", "cart/big"], ""), large);
    let ran = eddy(&node, &["agent", "show", "cart/a"], "");
    assert_eq!(ran.code, 3, "{}", ran.told);
}

/// What an agent has answered is in its document, also when that is flushed later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_relaxed_agent_has_answered_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let app_folder = dir.path().join("shop");
    std::fs::create_dir(&app_folder).unwrap();
    std::fs::write(app_folder.join("index.ts"), CODE).unwrap();
    let manifest = "name = \"shop\"\n[agents.cart]\ndurability = \"relaxed\"\n";
    std::fs::write(app_folder.join("eddy.toml"), manifest).unwrap();
    let node = node(&dir.path().join("data"), &app_folder);
    for n in 1..=20 {
        let counted = node.call("cart/ada", "add", "1").await.unwrap();
        assert_eq!(counted, n.to_string());
        let document = good(&node, &["agent", "export", "cart/ada"], "");
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["state"]["n"]["json"], n);
    }
}

/// A file that is there is replaced as a whole, and nobody else reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_takes_the_place_of_another_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("data"), &app(dir.path()));
    node.call("cart/ada", "add", "1").await.unwrap();
    let (file, link) = (dir.path().join("ada.json"), dir.path().join("link.json"));
    std::fs::write(&file, "the last copy").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let link_path = link.to_str().unwrap();
    good(&node, &["agent", "export", "cart/ada", link_path], "");
    assert!(link.is_symlink(), "it is written through a link");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(document["key"], "ada");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let told = good(&node, &["agent", "export", "cart/ada", "/dev/stdout"], "");
    assert!(
        told.contains("\"version\""),
        "a device is written to: {told}"
    );
}
