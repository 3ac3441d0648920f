//! Blocks that are read and not run: JSON documents, manifests, and what stands in a file of the project.

use super::page::{Block, Page, Use, root};
use super::wording;
use eddy_api::{DeployRequest, LogEntry, Problem};
use eddy_types::{EddyError, ErrorCode};
use serde_json::Value;

/// What is wrong with a block that is not run.
pub(super) fn block(page: &Page, block: &Block) -> Result<(), String> {
    match block.purpose()? {
        Use::Json => json(page, &block.text),
        Use::Manifest => manifest(&block.text),
        Use::From { path } => stands_in(&path, &block.text),
        Use::Run { .. } | Use::File { .. } | Use::Text | Use::Ignored => Ok(()),
    }
}

/// One or several documents, each of the type that it looks like.
fn json(page: &Page, text: &str) -> Result<(), String> {
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| error.to_string())?;
        let is = |name: &str| !value[name].is_null();
        if value["type"]
            .as_str()
            .is_some_and(|text| text.starts_with("urn:eddy:"))
        {
            problem(page, &value)?;
        } else if is("manifest") && is("components") {
            parse::<DeployRequest>(&value)?;
        } else if is("level") && is("invocation") {
            parse::<LogEntry>(&value)?;
        }
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}

/// A problem document as the node gives it for its code; on a page of an error, for that one.
fn problem(page: &Page, value: &Value) -> Result<(), String> {
    let shown: Problem = parse(value)?;
    let code = ErrorCode::ALL
        .iter()
        .find(|code| code.as_str() == shown.code);
    let code = *code.ok_or_else(|| format!("there is no code {}", shown.code))?;
    let made = Problem::from(&EddyError::new(code, ""));
    let status = made.status == shown.status || code == ErrorCode::GuestError;
    if !status || (&made.title, &made.problem_type) != (&shown.title, &shown.problem_type) {
        return Err(format!("not as the node gives it: {made:?}"));
    }
    // What a guest threw says the guest.
    let ours = (code != ErrorCode::GuestError).then_some(&shown.detail);
    for text in ours.into_iter().chain(&shown.hint) {
        if !wording::is_made(text) {
            return Err(format!("Eddy never says {text:?}"));
        }
    }
    let own = page.path.strip_prefix("docs/errors/");
    match own.and_then(|name| name.strip_suffix(".md")) {
        Some(name) if name != "README" && name != shown.code => {
            Err(format!("the example of another error, {}", shown.code))
        }
        _ => Ok(()),
    }
}

/// A manifest, or sections of one.
fn manifest(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let named = text.lines().any(|line| line.starts_with("name = "));
    let text = match named {
        true => text.to_owned(),
        false => format!("name = \"app\"\n{text}"),
    };
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("eddy.toml", &text).expect("written");
    write("index.ts", "").expect("written");
    eddy_bundle::bundle(folder.path())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn stands_in(path: &str, text: &str) -> Result<(), String> {
    let file = std::fs::read_to_string(root().join(path));
    let file = file.map_err(|error| format!("{path}: {error}"))?;
    match file.contains(text.trim_end()) {
        true => Ok(()),
        false => Err(format!("it does not stand like this in {path}")),
    }
}

#[test]
fn what_is_wrong_with_a_block_is_told() {
    let problem = |code: &str, status: u16| {
        format!(
            r#"{{"type":"urn:eddy:error:{code}","title":"Unknown app","status":{status},"detail":"there is no app \"shop\"","code":"{code}"}}"#
        )
    };
    let good = problem("unknown-app", 404);
    let (status, code) = (problem("unknown-app", 400), problem("unknown-method", 404));
    let unknown = problem("no-such-code", 404);
    let never = good.replace("there is no app", "we do not know the app");
    let cases = [
        ("json", good.as_str(), true),
        ("json", &status, false),
        ("json", &code, false),
        ("json", &unknown, false),
        ("json", &never, false),
        ("json", "{\"a\":1}\n[2]", true),
        ("json", "{a:1}", false),
        (
            "json",
            r#"{"manifest":{},"components":[{"name":"x","kind":"cobol"}]}"#,
            false,
        ),
        ("toml", "[agents.cart]\nidle = \"1h\"", true),
        ("toml", "[agents.cart]\nidel = \"1h\"", false),
        (
            "toml,from=xtask/Cargo.toml",
            "[package]\nname = \"xtask\"",
            true,
        ),
        (
            "toml,from=xtask/Cargo.toml",
            "[package]\nname = \"book\"",
            false,
        ),
        ("toml,from=nowhere.toml", "x", false),
        ("text", "a drawing", true),
        ("text", "$ eddy ls", false),
        ("ts", "const n = 1;", false),
        ("", "anything", false),
        ("ini,ignore", "[Unit]", true),
    ];
    for (info, text, right) in cases {
        let page = Page::of(
            "docs/errors/unknown-app.md",
            &format!("```{info}\n{text}\n```\n"),
        );
        let checked = block(&page, &page.blocks[0]);
        assert_eq!(checked.is_ok(), right, "{info}: {text}: {checked:?}");
    }
    let hidden = Page::of("x.md", "<!-- Before.\n```console\n$ true\n```\n-->\n");
    assert_eq!(hidden.blocks.len(), 1);
    assert_eq!(hidden.blocks[0].line, 2);
}
