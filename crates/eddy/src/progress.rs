//! A sign of life on stderr while something takes long: a spinner on a terminal, plain lines
//! elsewhere, nothing when a program reads along.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

/// Ends the sign of life when it is dropped.
pub(crate) struct Progress(Option<ProgressBar>);

/// Says what is going on from now on.
pub(crate) fn start(output: &Output, what: &str) -> Progress {
    if output.is_json() {
        return Progress(None);
    }
    if !std::io::stderr().is_terminal() {
        output.say(format_args!("{what} ..."));
        return Progress(None);
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    Progress(Some(bar))
}

impl Progress {
    /// A line of a tool that works meanwhile, above the sign of life.
    pub(crate) fn line(&self, output: &Output, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| output.say(line)),
            None => output.say(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
