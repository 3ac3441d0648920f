//! What `eddy token` and `eddy tenant` print: for people, for programs, and when it fails.

use crate::binary::{command, finish, transcript};
use crate::node::Node;

/// Everything that a run prints, with what differs from run to run taken out.
fn printed(node: &Node, token: Option<&str>, args: &[&str]) -> String {
    let mut command = command(args);
    command.env("EDDY_URL", &node.url);
    if let Some(token) = token {
        command.env("EDDY_TOKEN", token);
    }
    let ran = finish(&mut command);
    transcript(args, &ran.stdout, &ran.stderr, ran.code)
}

fn made(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("eddy_"));
    line.unwrap_or_else(|| panic!("no token in {text}"))
        .to_owned()
}

/// A transcript: each command and what it printed.
#[test]
fn tokens_and_tenants_as_they_are_printed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let node = Node::up(dir.path());
    let mut all = Vec::new();
    let refused = ["token", "create", "--role", "admin"];
    all.push(printed(&node, None, &refused));
    let first = printed(&node, None, &["token", "create", "--role", "operator"]);
    let operator = made(&first);
    all.push(first);
    all.push(printed(&node, None, &["ls"]));
    let operator = Some(operator.as_str());
    for args in [
        &[
            "tenant",
            "set",
            "shop",
            "--memory",
            "512MiB",
            "--rate",
            "100",
            "--hosts",
            "api.example,*.wild.example",
        ][..],
        &[
            "--json",
            "tenant",
            "set",
            "shop",
            "--storage",
            "none",
            "--secrets",
            "STRIPE_KEY",
        ],
        &["tenant", "show", "shop"],
        &["tenant", "list"],
        &["--json", "tenant", "list"],
        &["--json", "tenant", "show", "shop"],
        &["tenant", "show", "nobody"],
        &["tenant", "set", "shop", "--memory", "much"],
        &["tenant", "set", "shop", "--hosts", "https://api.example/"],
        &["tenant", "set", "shop", "--hosts", "all"],
        &["tenant", "set", "default", "--hosts", "public"],
        &["tenant", "set", "default", "--hosts", "all"],
        &["tenant", "set", "default", "--secrets", "STRIPE_KEY"],
        &[
            "--tenant",
            "shop",
            "token",
            "create",
            "--role",
            "call",
            "--name",
            "the web page",
            "--expires",
            "30days",
        ],
        &[
            "--json", "--tenant", "shop", "token", "create", "--role", "read",
        ],
        &["token", "list"],
        &["--json", "token", "list"],
        &["token", "create", "--role", "root"],
        &["token", "revoke", "0123456789ab"],
        &["--json", "token", "revoke", "0123456789ab"],
        &["--tenant", "nobody", "ls"],
    ] {
        all.push(printed(&node, operator, args));
    }
    let call = made(
        all.iter()
            .find(|text| text.contains("the web page"))
            .expect("it was made"),
    );
    all.push(printed(&node, Some(&call), &["ls"]));
    let id = call.split('_').nth(1).expect("an id");
    all.push(printed(&node, operator, &["token", "revoke", id]));
    let made_again = ["--tenant", "shop", "token", "create", "--role", "call"];
    let again = made(&printed(&node, operator, &made_again));
    let id = again.split('_').nth(1).expect("an id");
    all.push(printed(&node, operator, &["--json", "token", "revoke", id]));
    all.push(printed(&node, Some(&call), &["--json", "ls"]));
    all.push(printed(&node, Some(&call), &["tenant", "list"]));
    let data = dir.path().to_str().expect("UTF-8");
    all.push(printed(&node, None, &["token", "list", "--data", data]));
    let text = all.concat().replace(data, "DATA");
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!(text);
    });
}

fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        ("eddy_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", "TOKEN"),
        ("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "TIME"),
        ("\\b[0-9a-f]{12}\\b", "ID"),
        ("http://127.0.0.1:[0-9]+", "URL"),
        // Columns follow the widest entry.
        ("  +", "  "),
    ]
}
