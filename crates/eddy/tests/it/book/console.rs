//! What a block of `console` says: commands behind `$ `, and below each what it prints.

/// A command. An empty one is what was started last, to be interrupted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) command: String,
    /// What it prints. Nothing: it is not looked at. A line `...` stands for any lines.
    pub(super) expected: String,
    /// Behind a line `^C`: it is interrupted then, and prints this.
    pub(super) interrupted: Option<String>,
}

impl Step {
    /// Whether it goes on while later commands run.
    pub(super) fn stays(&self) -> bool {
        self.is_node() || self.command.starts_with("eddy logs -f")
    }

    /// Whether it is a node that serves.
    pub(super) fn is_node(&self) -> bool {
        let command = &self.command;
        let node = command.starts_with("eddy up") || command.starts_with("eddy dev");
        node && !self.fails()
    }

    /// Whether it ends with an error.
    pub(super) fn fails(&self) -> bool {
        self.expected.lines().any(|line| line.starts_with("error"))
    }
}

pub(super) fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(first) = line.strip_prefix("$ ") {
            let mut command = first.to_owned();
            while command.ends_with('\\') {
                command = format!("{command}\n{}", lines.next().unwrap_or_default());
            }
            steps.push(Step {
                command,
                expected: String::new(),
                interrupted: None,
            });
            continue;
        }
        if steps.is_empty() {
            // What an earlier block has started.
            steps.push(Step {
                command: String::new(),
                expected: String::new(),
                interrupted: None,
            });
        }
        let step = steps.last_mut().expect("there is one");
        match (&mut step.interrupted, line) {
            (interrupted @ None, "^C") => *interrupted = Some(String::new()),
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, line) => step.expected += &format!("{line}\n"),
        }
    }
    steps
}

#[test]
fn commands_and_what_they_print() {
    let text = "$ eddy up\nup\n^C\ndown\n$ a \\\n  b\n$ eddy ls\nerror[x]: y\n";
    let steps = steps(text);
    let commands: Vec<_> = steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["eddy up", "a \\\n  b", "eddy ls"]);
    assert_eq!(steps[0].expected, "up\n");
    assert_eq!(steps[0].interrupted.as_deref(), Some("down\n"));
    assert!(steps[0].is_node() && !steps[1].stays() && steps[2].fails());
    let later = super::console::steps("^C\nbye\n$ eddy ls\n");
    assert_eq!(later[0].interrupted.as_deref(), Some("bye\n"));
    assert_eq!((later[0].command.as_str(), later.len()), ("", 2));
}
