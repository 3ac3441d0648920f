//! The help is what people read first; a change of it is a change to look at.

use crate::binary::eddy;

#[test]
fn help_of_every_command() {
    let commands = [
        "",
        "new",
        "dev",
        "up",
        "deploy",
        "invoke",
        "call",
        "ls",
        "agents",
        "agent",
        "invocations",
        "logs",
        "delete",
        "doctor",
        "completions",
        "man",
        "dead-letters",
    ];
    let mut text = String::new();
    for command in commands {
        let args: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let ran = eddy(&args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command}");
        text += &format!("$ eddy {}\n{}\n", args.join(" "), ran.stdout);
    }
    insta::assert_snapshot!(text);
}
