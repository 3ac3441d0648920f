//! `eddy logs`: what guests log, once or as it is written.

use crate::args::LogsArgs;
use crate::commands::pages::listed;
use crate::exit::Failed;
use crate::output::Output;
use crate::remote::Remote;
use clap::builder::styling::{AnsiColor, Style};
use eddy_api::{LogEntry, LogEvent, LogMissed, LogQuery, LogStream, PageQuery};
use std::fmt::Write as _;

pub(crate) async fn run(remote: &Remote, args: &LogsArgs, output: &Output) -> Result<(), Failed> {
    let client = remote.http()?;
    let query = query(args);
    if args.follow {
        let stream = client.follow_logs(&query, Some(args.limit)).await?;
        return follow(stream, output).await;
    }
    let page = async |page: &PageQuery| {
        let page = client.logs(&query, page).await?;
        Ok((page.items, page.next))
    };
    // Newest first.
    let (lines, _) = listed(args.limit, page).await?;
    for line in lines.iter().rev() {
        output.data(line, || text(line))?;
    }
    Ok(())
}

fn query(args: &LogsArgs) -> LogQuery {
    LogQuery {
        app: args.app.clone(),
        function: args.function.clone(),
        agent: args.agent.clone(),
        invocation: args.invocation.clone(),
        level: args.level.map(|level| level.as_str().to_owned()),
        since: args.since.clone(),
    }
}

/// Until SIGINT or SIGTERM, which is how following is meant to end, or until the node goes away.
async fn follow(mut stream: LogStream, output: &Output) -> Result<(), Failed> {
    let mut signals = crate::signals::Signals::new()?;
    loop {
        let event = tokio::select! {
            event = stream.next() => event?,
            _ = signals.next() => return Ok(()),
        };
        let printed = match event {
            LogEvent::Line(line) => output.line(&line, || text(&line))?,
            LogEvent::Missed(missed) => {
                output.say(gap(missed));
                true
            }
        };
        if !printed {
            return Ok(());
        }
    }
}

/// What is said when lines went by unread.
pub(crate) fn gap(missed: LogMissed) -> String {
    match missed.lines {
        Some(1) => "1 line was missed: the log was written faster than it was read".to_owned(),
        Some(lines) => {
            format!("{lines} lines were missed: the log was written faster than it was read")
        }
        None => "lines may be missing: the node was started anew".to_owned(),
    }
}

/// `12:00:00.000 info  cart/alice add: two apples`. Colours are taken out where nobody sees them.
pub(crate) fn text(line: &LogEntry) -> String {
    let dim = Style::new().dimmed();
    let strong = style(&line.level);
    // The date is the one thing that is the same on nearly every line.
    let time = line.at.split_once('T').map_or(&*line.at, |(_, time)| time);
    let time = time.trim_end_matches('Z');
    let mut text = format!(
        "{dim}{time}{dim:#} {strong}{:5}{strong:#} {dim}{}{dim:#} ",
        line.level,
        crate::commands::invocations::target(&line.target),
    );
    text += &line.message.trim_end().replace('\n', "\n    ");
    if let Some(code) = line
        .failed
        .as_ref()
        .filter(|_| !line.message.starts_with("failed: "))
    {
        // Writing to a string does not fail.
        let _ = write!(text, " {dim}[failed: {code}]{dim:#}");
    }
    text
}

fn style(level: &str) -> Style {
    match level {
        "error" => AnsiColor::Red.on_default().bold(),
        "warn" => AnsiColor::Yellow.on_default(),
        "info" => AnsiColor::Green.on_default(),
        _ => AnsiColor::Blue.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_api::{AgentRef, InvocationTarget};

    fn line(level: &str, message: &str, failed: Option<&str>) -> LogEntry {
        LogEntry {
            id: "1-1".into(),
            at: "2026-01-31T12:00:00.123Z".into(),
            level: level.into(),
            app: "shop".into(),
            target: InvocationTarget {
                agent: Some(AgentRef {
                    agent_type: "cart".into(),
                    key: "alice".into(),
                }),
                method: Some("add".into()),
                ..InvocationTarget::default()
            },
            invocation: "00".into(),
            message: message.into(),
            failed: failed.map(str::to_owned),
        }
    }

    #[test]
    fn a_line_shows_when_who_and_what() {
        let lines = [
            line("info", "two apples", None),
            line("warn", "only 3 left\nof 7", Some("guest-error")),
            line(
                "error",
                "failed: guest-error: out of stock\n    at add",
                Some("guest-error"),
            ),
        ];
        let shown: Vec<_> = lines.iter().map(text).collect();
        let plain = anstream::adapter::strip_str(&shown.join("\n")).to_string();
        insta::assert_snapshot!(plain);
        assert!(shown[0].contains("\u{1b}[32minfo"), "{:?}", shown[0]);
    }

    #[test]
    fn a_gap_says_how_much_is_missing() {
        let said = |lines| gap(LogMissed { lines });
        insta::assert_snapshot!([said(Some(1)), said(Some(17)), said(None)].join("\n"));
    }
}
