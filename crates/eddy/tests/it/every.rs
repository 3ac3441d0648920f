//! Every command as it is used: what it prints, what it prints for programs, and one failure with its
//! hint. What each does is tested elsewhere.

use crate::binary::{command, finish, transcript};
use crate::node::{Node, Setup};
use regex::Regex;

const MANIFEST: &str = r#"
name = "shop"
[agents.stuck.retries]
attempts = 1
"#;

const CODE: &str = r#"
import { agent, fn, query } from "eddy";

export const cart = agent({
  add(ctx, { sku = "apple" } = {}) {
    ctx.state.set(sku, (ctx.state.get(sku) ?? 0) + 1);
    ctx.log("one", sku);
    return { [sku]: ctx.state.get(sku) };
  },
  items: query((ctx) => ctx.state.list()),
  tell(ctx) {
    ctx.send("stuck", "one", "fail");
  },
});
export const stuck = agent({
  fail() {
    throw new Error("on purpose");
  },
});
export const greet = fn((ctx, { name }) => `Hello, ${name}!`);
"#;

/// A node with an app, and what was run against it.
struct Session {
    node: Node,
    dir: tempfile::TempDir,
    text: String,
}

impl Session {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("shop");
        std::fs::create_dir(&app).unwrap();
        std::fs::write(app.join("eddy.toml"), MANIFEST).unwrap();
        std::fs::write(app.join("index.ts"), CODE).unwrap();
        let setup = Setup {
            app: Some(&app),
            ..Setup::default()
        };
        let node = Node::with(&dir.path().join("data"), &setup);
        Self {
            node,
            dir,
            text: String::new(),
        }
    }

    /// Runs `eddy` with these words in the folder above the app, and keeps what came of it.
    fn run(&mut self, line: &str) -> String {
        let args = words(line);
        let mut command = command(&args);
        command.env("EDDY_URL", &self.node.url);
        let ran = finish(command.current_dir(self.dir.path()));
        self.text += &transcript(&[line], &ran.stdout, &ran.stderr, ran.code);
        ran.stdout
    }

    /// How many items a listing has; it is not kept.
    fn listed(&mut self, line: &str) -> usize {
        let before = self.text.len();
        let page: serde_json::Value = serde_json::from_str(&self.run(line)).unwrap();
        self.text.truncate(before);
        page["items"].as_array().unwrap().len()
    }

    /// Takes out of a report of `eddy doctor` what this machine has, and how bad that is.
    fn without_machine(&mut self, port: &str) {
        let machine = "kernel|processors|memory|open files|memory maps|file system|disk space|disk flush|rust|python";
        let filters = [
            (
                format!(r"(?m)^\w+ +({machine})  .*\n(?: {{4,}}.*\n)*"),
                "[..]  $1  [..]\n",
            ),
            (
                format!(
                    r#""name":"({machine})","status":"\w+","found":"[^"]*"(?:,"advice":"[^"]*")?"#
                ),
                r#""name":"$1",[..]"#,
            ),
            (r#"(?m)^(\{"status":)"\w+""#.to_owned(), "$1[..]"),
            (r"\(exit code [01]\)".to_owned(), "(exit code [0 or 1])"),
            (format!("127.0.0.1:{port}"), "[address]"),
        ];
        for (pattern, to) in filters {
            let pattern = Regex::new(&pattern).unwrap();
            self.text = pattern.replace_all(&self.text, to).into_owned();
        }
    }

    fn snapshot(&mut self, name: &str) {
        let text = std::mem::take(&mut self.text);
        let url = regex_escaped(&self.node.url);
        let folder = regex_escaped(&self.dir.path().display().to_string());
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&url, "[url]");
        settings.add_filter(&folder, "[dir]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[at]");
        settings.add_filter(r"[0-9a-f]{64}", "[digest]");
        settings.add_filter(r"[0-9a-f]{48}", "[letter]");
        settings.add_filter(r"[0-9a-f]{32}", "[id]");
        settings.add_filter(
            r#""run_us":\d+,"memory_bytes":\d+"#,
            r#""run_us":[n],"memory_bytes":[n]"#,
        );
        settings.add_filter(r"(\d+(ms|us|s) ?)+( +)", "[time] ");
        // Columns are as wide as what stands in them.
        settings.add_filter(r" {2,}", "  ");
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

fn regex_escaped(text: &str) -> String {
    text.replace('.', r"\.")
}

/// Words of a line, where quotes keep blanks together.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        match n % 2 {
            0 => words.extend(part.split_whitespace()),
            _ => words.push(part),
        }
    }
    words
}

#[test]
fn apps() {
    let mut s = Session::new();
    for line in [
        "deploy shop",
        "deploy shop --json",
        "deploy nothing",
        "ls",
        "ls --json",
        "ls --url http://127.0.0.1:1",
        "delete shop",
        "delete shop",
        "delete shop --json",
        "ls",
        "deploy shop",
        "delete shop --json",
    ] {
        s.run(line);
    }
    s.snapshot("apps");
}

#[test]
fn calls() {
    let mut s = Session::new();
    for line in [
        r#"invoke greet '{"name":"Ada"}'"#,
        r#"invoke greet '{"name":"Ada"}' --json"#,
        "invoke gret",
        "invoke greet --async",
        "call cart/alice add",
        "call cart/alice add --json",
        "call cart/alice items --snapshot",
        "call cart/alice ad",
        "call cart/alice ad --json",
        "call stuck/x fail",
    ] {
        s.run(line);
    }
    s.snapshot("calls");
}

#[test]
fn agents() {
    let mut s = Session::new();
    for line in [
        "agents",
        "call cart/alice add",
        "call cart/bob add",
        "agents",
        "agents cart --prefix b --json",
        "agents nobody",
        "agent show cart/alice",
        "agent show cart/alice --json",
        "agent show cart/carol",
        "agent export cart/alice",
        "agent export cart/alice --json",
        "agent export cart/alice alice.json",
        "agent export cart/alice alice.json --json",
        "agent export cart/carol",
        "agent import cart/carol alice.json",
        "agent import cart/carol alice.json",
        "agent import cart/carol alice.json --replace",
        "agent import cart/dan alice.json --json --idempotency-key once",
        "agent import cart/dan alice.json --json --idempotency-key once",
        "agent import cart/dan alice.json --json",
        "agent delete cart/alice",
        "agent delete cart/bob --json",
        "agent delete cart",
    ] {
        s.run(line);
    }
    s.snapshot("agents");
}

#[test]
fn invocations() {
    let mut s = Session::new();
    s.run("invocations");
    let answer = s.run("call cart/alice add --json");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let id = answer["invocation"].as_str().unwrap().to_owned();
    s.run("invocations");
    s.run("invocations --json");
    s.run(&format!("invocations {id}"));
    s.run(&format!("invocations {id} --json"));
    s.run("invocations 00");
    s.run("call cart/bob items");
    s.run("invocations --limit 1");
    s.run("invocations --limit 0 --json");
    s.snapshot("invocations");
}

/// Waits until a delivery was given up, and gives its id.
fn dead_letter(s: &mut Session) -> String {
    for _ in 0..600 {
        let before = s.text.len();
        let page = s.run("dead-letters --json");
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        if let Some(id) = page["items"][0]["id"].as_str() {
            return id.to_owned();
        }
        s.text.truncate(before);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing was given up");
}

#[test]
fn dead_letters() {
    let mut s = Session::new();
    s.run("dead-letters");
    s.run("call cart/alice tell");
    let id = dead_letter(&mut s);
    s.run("dead-letters");
    s.run(&format!("dead-letters redrive {id}"));
    let id = dead_letter(&mut s);
    s.run(&format!("dead-letters redrive {id} --json"));
    let id = dead_letter(&mut s);
    s.run(&format!("dead-letters discard {id} --json"));
    s.run(&format!("dead-letters discard {id}"));
    s.run(&format!("dead-letters redrive {id}"));
    s.run("call cart/alice tell");
    let id = dead_letter(&mut s);
    s.run("call cart/bob tell");
    while s.listed("dead-letters --json") < 2 {}
    s.run("dead-letters --limit 1");
    s.run(&format!("dead-letters discard {id}"));
    s.run("dead-letters --url http://127.0.0.1:1");
    s.snapshot("dead_letters");
}

#[test]
fn doctor_looks_at_machine_folder_node_and_tools() {
    let mut s = Session::new();
    let port = s.node.url.rsplit(':').next().unwrap().to_owned();
    let line = format!("doctor --data data --listen 127.0.0.1:{port} --json");
    let report: serde_json::Value = serde_json::from_str(&s.run(&line)).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let mut worst = "ok";
    for check in checks {
        let status = check["status"].as_str().unwrap();
        assert_eq!(check["advice"].is_string(), status != "ok", "{check}");
        worst = match (worst, status) {
            ("fail", _) | (_, "fail") => "fail",
            ("warn", _) | (_, "warn") => "warn",
            _ => "ok",
        };
    }
    assert_eq!(report["status"], worst);
    let code = match worst {
        "ok" => 0,
        "warn" => 1,
        _ => 6,
    };
    assert!(
        s.text.contains(&format!("(exit code {code})")),
        "{}",
        s.text
    );
    let found = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("{name}"))["found"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(found("node"), format!("version 0.1.0 at {}/", s.node.url));
    assert_eq!(found("apps"), "1 deployed");
    assert_eq!(found("address"), format!("127.0.0.1:{port} is the node's"));
    assert!(found("disk flush").contains("page cache"));
    s.run(&format!("doctor --data data --listen 127.0.0.1:{port}"));
    s.without_machine(&port);
    s.snapshot("doctor");
}

#[test]
fn doctor_fails_where_a_node_could_not_start() {
    let mut s = Session::new();
    let port = s.node.url.rsplit(':').next().unwrap().to_owned();
    std::fs::write(s.dir.path().join("file"), "").unwrap();
    let nobody = "--url http://127.0.0.1:1";
    let out = s.run(&format!(
        "doctor --data file --listen 127.0.0.1:{port} {nobody}"
    ));
    assert!(s.text.contains("(exit code 6)"), "{}", s.text);
    assert!(out.contains("fail  data folder"), "{out}");
    s.run(&format!("doctor --data data --listen 127.0.0.1:0 {nobody}"));
    s.run(&format!("doctor --data new --listen 0.0.0.0:0 {nobody}"));
    s.without_machine(&port);
    s.snapshot("doctor_fails");
}

#[test]
fn completions_and_pages() {
    let mut s = Session::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = s.run(&format!("completions {shell}"));
        assert!(
            script.contains("dead-letters") && script.contains("doctor"),
            "{shell}"
        );
    }
    let page = s.run("man");
    assert!(
        page.contains(".TH") && page.contains("eddy") && page.contains("deploy"),
        "{page}"
    );
    s.text.clear();
    s.run("completions cobol");
    s.run("man --out pages");
    let made: serde_json::Value = serde_json::from_str(&s.run("man --out pages --json")).unwrap();
    s.run("man --out shop/index.ts");
    let mut pages: Vec<_> = std::fs::read_dir(s.dir.path().join("pages"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let mut told: Vec<_> = made["files"].as_array().unwrap().iter().collect();
    told.sort_by_key(|name| name.as_str());
    assert_eq!(told, pages.iter().collect::<Vec<_>>());
    s.snapshot("pages");
}
