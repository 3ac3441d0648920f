//! `eddy doctor`: whether a machine is fit for Eddy. What is looked at is in `crate::doctor`.

use crate::args::DoctorArgs;
use crate::doctor::{Check, Status, data, machine, node, tools};
use crate::exit::{Failed, NODE};
use crate::output::Output;
use crate::remote::Remote;
use clap::builder::styling::{AnsiColor, Style};
use eddy_types::EddyError;
use serde::Serialize;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    /// The worst of all.
    status: Status,
    checks: Vec<Check>,
}

/// Exit code when there are warnings and nothing worse.
const WARNED: u8 = 1;

pub(crate) async fn run(
    remote: Result<Remote, EddyError>,
    args: &DoctorArgs,
    output: &Output,
) -> Result<(), Failed> {
    let client = remote?.http()?;
    let mut checks = machine::checks();
    let node = node::checks(&client, args.listen, &args.data).await;
    checks.extend(data::checks(&args.data, node.answers));
    checks.extend(node.checks);
    checks.extend(tools::checks().await);
    let status = checks.iter().map(|check| check.status).max();
    let report = Report {
        status: status.unwrap_or(Status::Ok),
        checks,
    };
    output.data(&report, || report.text())?;
    match report.status {
        Status::Ok => Ok(()),
        Status::Warn => Err(Failed::told(WARNED)),
        Status::Fail => Err(Failed::told(NODE)),
    }
}

impl Report {
    fn text(&self) -> String {
        let widest = self.checks.iter().map(|check| check.name.len()).max();
        let widest = widest.unwrap_or(0);
        let mut text = String::new();
        for check in &self.checks {
            let style = match check.status {
                Status::Ok => AnsiColor::Green.on_default(),
                Status::Warn => AnsiColor::Yellow.on_default(),
                Status::Fail => AnsiColor::Red.on_default().bold(),
            };
            let Check { name, found, .. } = check;
            let status = check.status.as_str();
            text += &format!("{style}{status:4}{style:#}  {name:widest$}  {found}\n");
            if let Some(advice) = &check.advice {
                let dim = Style::new().dimmed();
                text += &format!("{:4}  {:widest$}  {dim}{advice}{dim:#}\n", "", "");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_each_with_advice_below() {
        let report = Report {
            status: Status::Fail,
            checks: vec![
                Check::ok("kernel", "Linux 6.1.0, x86_64"),
                Check::warn("open files", "1024 at most", "Run `ulimit -n 65536`."),
                Check::fail("disk space", "3 MiB are free", "Make room."),
            ],
        };
        let plain = anstream::adapter::strip_str(&report.text()).to_string();
        insta::assert_snapshot!(plain);
        insta::assert_json_snapshot!(report);
    }
}
