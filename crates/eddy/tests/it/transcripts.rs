//! Commands that run until they are told to end, as they are used; and that of every command there is a transcript of
//! what it prints, of what it prints for programs, and of one failure with its hint.

use crate::binary::{command, eddy, finish, transcript};
use crate::help::{Help, everything};
use regex::Regex;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads all the time, and keeps it where others can look.
fn reader(mut from: impl Read + Send + 'static, kept: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut part) {
            let text = String::from_utf8_lossy(&part[..read]);
            kept.lock().unwrap().push_str(&text);
        }
    })
}

/// Runs `eddy` in this folder until it has printed `last`, then asks it to end.
fn until(dir: &Path, line: &str, last: &str) -> String {
    let args: Vec<_> = line.split_whitespace().collect();
    let mut command = command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.current_dir(dir).spawn().unwrap();
    let printed = [Arc::default(), Arc::default()];
    let readers = [
        reader(child.stdout.take().unwrap(), Arc::clone(&printed[0])),
        reader(child.stderr.take().unwrap(), Arc::clone(&printed[1])),
    ];
    let text = |n: usize| printed[n].lock().unwrap().clone();
    while !(text(0) + &text(1)).contains(last) {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{status}\n{}\n{}", text(0), text(1));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.unwrap().success());
    let code = child.wait().unwrap().code().unwrap();
    for reader in readers {
        reader.join().unwrap();
    }
    transcript(&args, &text(0), &text(1), code)
}

fn ended(dir: &Path, line: &str) -> String {
    let args: Vec<_> = line.split_whitespace().collect();
    let ran = finish(command(&args).current_dir(dir));
    transcript(&args, &ran.stdout, &ran.stderr, ran.code)
}

/// A folder with a new project, `shop`.
fn with_project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    ended(dir.path(), "new ts shop");
    dir
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"http://127.0.0.1:\d\d+", "[url]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[at]");
    settings.add_filter(r"[0-9a-f]{64}", "[digest]");
    settings.add_filter(r#""(pid|millis|milliseconds)":\d+"#, r#""$1":[n]"#);
    settings.add_filter(r"\d+(\.\d+)? ?m?s\b", "[time]");
    settings
}

#[test]
fn a_node_as_it_is_started() {
    let dir = with_project();
    let dir = dir.path();
    let up = "up --listen 127.0.0.1:0 --data data --app shop";
    let text = [
        until(dir, up, "/functions/greet -d"),
        until(dir, &format!("{up} --json"), "\"url\""),
        ended(dir, "up --listen 0.0.0.0:0 --data data"),
        ended(dir, "up --listen 0.0.0.0:0 --data data --json"),
        ended(dir, "up --listen here"),
        ended(dir, "up --app nothing --listen 127.0.0.1:0 --data data"),
    ];
    settings().bind(|| insta::assert_snapshot!(text.concat()));
}

#[test]
fn a_project_under_development() {
    let dir = with_project();
    let dir = dir.path();
    let dev = "dev shop --listen 127.0.0.1:0";
    let text = [
        until(dir, dev, "/functions/greet -d"),
        until(dir, &format!("{dev} --json"), "\"deployed\""),
        ended(dir, "dev nothing"),
    ];
    assert!(!dir.join(".eddy").exists(), "nothing is made for a slip");
    settings().bind(|| insta::assert_snapshot!(text.concat()));
}

#[test]
fn tests_of_a_project() {
    let dir = with_project();
    let dir = dir.path();
    let text = [
        ended(dir, "test shop"),
        ended(dir, "test shop --json"),
        ended(dir, "test shop --filter nothing-of-the-kind"),
        ended(dir, "test nothing"),
    ];
    settings().bind(|| insta::assert_snapshot!(text.concat()));
}

/// What there is of a command.
#[derive(Debug, Default)]
struct Shown {
    text: bool,
    json: bool,
    failure: bool,
}

/// The longest of the commands that this line begins with, options of all commands aside.
fn command_of<'c>(line: &str, all: &'c [String]) -> Option<&'c str> {
    let mut words: Vec<_> = line
        .split_whitespace()
        .filter(|word| *word != "--json")
        .collect();
    while words.first().is_some_and(|word| word.starts_with("--")) {
        words.drain(..words.len().min(2));
    }
    let begins = |command: &&String| words.starts_with(&command.split(' ').collect::<Vec<_>>());
    let found = all
        .iter()
        .filter(begins)
        .max_by_key(|command| command.len());
    found.map(String::as_str)
}

#[test]
fn every_command_has_transcripts() {
    let all = everything().into_iter().filter(Help::does_something);
    let all: Vec<_> = all.map(|help| help.command).collect();
    assert!(
        all.len() > 25 && all.contains(&"agent show".to_owned()),
        "{all:?}"
    );
    let mut shown: BTreeMap<&str, Shown> = BTreeMap::new();
    // Made for other programs: there is one form.
    for (command, one_form) in [("completions", "bash"), ("man", "")] {
        let args = || command.split(' ').chain(one_form.split_whitespace());
        let plain = eddy(&args().collect::<Vec<_>>()).stdout;
        let json = eddy(&args().chain(["--json"]).collect::<Vec<_>>()).stdout;
        assert!(!plain.is_empty() && plain == json, "{command}");
        let shown = shown.entry(command).or_default();
        (shown.text, shown.json) = (true, true);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    let run = Regex::new(r"(?ms)^\$ eddy (.*?)\n(.*?)^\(exit code (.*?)\)$").unwrap();
    // Ours, the advice of `doctor`, and that of usage errors.
    let helps = r#"(?m)^  hint: |"hint":"|^fail .*\n  |For more information, try '--help'"#;
    let helps = Regex::new(helps).unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for run in run.captures_iter(&text) {
            let Some(command) = command_of(&run[1], &all) else {
                continue;
            };
            let shown = shown.entry(command).or_default();
            match &run[3] {
                "0" | "[0 or 1]" if run[1].contains("--json") => {
                    shown.json |= run[2].starts_with('{')
                }
                "0" | "[0 or 1]" => shown.text = true,
                _ => shown.failure |= helps.is_match(&run[2]),
            }
        }
    }
    let lacking: Vec<_> = all
        .iter()
        .filter_map(|command| match shown.get(command.as_str()) {
            Some(Shown {
                text: true,
                json: true,
                failure: true,
            }) => None,
            part => Some((command, part)),
        })
        .collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
}
