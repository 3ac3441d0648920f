//! What the commands take that tell what ran, what it logged, and what was given up.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct InvocationsArgs {
    /// Show this one, with its result and its log
    pub(crate) id: Option<String>,
    /// List at most so many
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with each line as it is written, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only lines of this app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only lines of this function
    #[arg(long, value_name = "FUNCTION", conflicts_with = "agent")]
    pub(crate) function: Option<String>,
    /// Only lines of this agent, or of all agents of a type
    #[arg(long, value_name = "TYPE[/KEY]")]
    pub(crate) agent: Option<String>,
    /// Only lines of this invocation
    #[arg(long, value_name = "ID")]
    pub(crate) invocation: Option<String>,
    /// Only lines at least this important
    #[arg(long)]
    pub(crate) level: Option<Level>,
    /// Only lines from then on: how long ago, such as 10m, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// At most so many lines; with --follow: so many to begin with
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// As the API has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// Send one again, with all its attempts
    Redrive {
        /// Its id, as listed
        id: String,
    },
    /// Drop one
    Discard {
        /// Its id, as listed
        id: String,
    },
}
