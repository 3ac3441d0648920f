//! The command line.

mod access;
mod history;

pub(crate) use access::{Bound, TenantCommand, TenantSetArgs, TokenCommand, TokenCreateArgs};
pub(crate) use history::{DeadLetterCommand, InvocationsArgs, LogsArgs};

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use eddy_types::limits::DEFAULT_GRACE;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const DEFAULT_DATA: &str = "./.eddy";
const DEFAULT_LISTEN: &str = "127.0.0.1:7400";
const DEFAULT_URL: &str = "http://127.0.0.1:7400";

const AFTER_HELP: &str = "\
Exit codes:
  0   it worked
  1   the request was answered with an error
  2   usage, or bad input
  3   not found
  4   the node cannot be reached
  5   try again later
  6   the node could not start, or had to stop
  70  a bug in Eddy
  74  the output could not be written";

const ARGUMENT_HELP: &str = "JSON, `@FILE`, or `-` for stdin; `null` when absent";

/// Functions and durable agents: a serverless platform in one binary
#[derive(Debug, Parser)]
#[command(name = "eddy", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print data as JSON on stdout, and errors as JSON on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// The node to talk to, and who we are there.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The node to talk to
    #[arg(
        long,
        global = true,
        env = "EDDY_URL",
        default_value = DEFAULT_URL
    )]
    pub(crate) url: String,
    /// PEM certificates to trust at an https:// address, instead of the system's
    #[arg(long, global = true, env = "EDDY_TLS_CA", value_name = "FILE")]
    pub(crate) tls_ca: Option<OsString>,
    /// The file of the token to show, instead of EDDY_TOKEN
    #[arg(long, global = true, env = "EDDY_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<OsString>,
    /// The tenant to act for, with an operator's token
    #[arg(long, global = true, env = "EDDY_TENANT", value_name = "NAME")]
    pub(crate) tenant: Option<String>,
}

impl Cli {
    /// Reads the command line and the environment.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let mut cli = Self::from_arg_matches(&matches)?;
        // A variable that is set to nothing counts as unset; `--url ""` is a mistake.
        let from_env = |name| matches.value_source(name) == Some(ValueSource::EnvVariable);
        let target = &mut cli.target;
        if from_env("url") && target.url.is_empty() {
            DEFAULT_URL.clone_into(&mut target.url);
        }
        let unset = |name, text: &OsString| from_env(name) && text.is_empty();
        target.tls_ca.take_if(|text| unset("tls_ca", text));
        target.token_file.take_if(|text| unset("token_file", text));
        target
            .tenant
            .take_if(|text| from_env("tenant") && text.is_empty());
        Ok(cli)
    }
}

/// Whether the command line asks for JSON, also when it does not parse.
pub(crate) fn asks_for_json() -> bool {
    std::env::args_os()
        .skip(1)
        .take_while(|word| word != "--")
        .any(|word| word == "--json")
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a project to begin with
    New(NewArgs),
    /// Run a project on a node of its own: deploys at every save and shows the log
    Dev(DevArgs),
    /// Start a node
    Up(UpArgs),
    /// Deploy an app: a .ts, .js, .py or .wasm file, or a folder with eddy.toml
    Deploy(DeployArgs),
    /// Run the tests of a project, on a node of their own whose clock they can put forward
    Test(TestArgs),
    /// Remove an app; the state of its agents stays
    Delete {
        /// Its name
        app: String,
    },
    /// Invoke a function
    Invoke(InvokeArgs),
    /// Call a method of an agent
    Call(CallArgs),
    /// List apps with their functions and agent types
    Ls,
    /// List agents
    Agents(AgentsArgs),
    /// Show, export, import or delete an agent
    Agent {
        #[command(subcommand)]
        command: AgentCommand,
    },
    /// List what ran, or show one invocation
    #[command(visible_alias = "invocation")]
    Invocations(InvocationsArgs),
    /// Show what guests log, or follow it
    Logs(LogsArgs),
    /// Make, list and revoke tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// List, make and limit tenants
    Tenant {
        #[command(subcommand)]
        command: TenantCommand,
    },
    /// List deliveries that were given up; redrive or discard them
    DeadLetters {
        #[command(subcommand)]
        command: Option<DeadLetterCommand>,
        /// List at most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Look whether this machine is fit to run a node and to deploy projects
    Doctor(DoctorArgs),
    /// Print what a shell reads to complete commands
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command
    Man {
        /// Write the pages into this folder; made when it is missing
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The language
    #[arg(value_name = "LANG", value_parser = PossibleValuesParser::new(crate::commands::new::languages()))]
    pub(crate) language: String,
    /// The folder to make; the app is named like it
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The project: a folder with eddy.toml, or a file
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// The data folder; `.eddy` inside the project unless given
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The loopback address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
    /// Time that running turns get when the command is asked to stop
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1s")]
    pub(crate) grace: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The data folder; made when it is missing
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    /// The address to listen on; port 0 takes a free one. Other than loopback needs tokens and TLS
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
    /// Keep compiled code here, for other nodes too, instead of in the data folder
    #[arg(long, value_name = "DIR", env = "EDDY_CODE_CACHE")]
    pub(crate) code_cache: Option<PathBuf>,
    /// Deploy this app at the start; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) app: Vec<PathBuf>,
    /// PEM certificates of the node, its own first: the port then speaks TLS only
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The PEM private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Do without TLS on an address that other machines reach: a proxy in front adds it
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Time that running turns get when the node is asked to stop
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration,
          default_value = humantime::format_duration(DEFAULT_GRACE).to_string())]
    pub(crate) grace: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The file or folder
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The project: a folder with eddy.toml, or a source file
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Only tests whose name holds this text
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) filter: String,
}

#[derive(Debug, Args)]
pub(crate) struct InvokeArgs {
    /// The function
    pub(crate) function: String,
    #[arg(help = ARGUMENT_HELP, allow_negative_numbers = true)]
    pub(crate) argument: Option<String>,
    /// Have it accepted durably and do not wait for the result
    #[arg(long)]
    pub(crate) r#async: bool,
    #[command(flatten)]
    pub(crate) options: CallArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The agent, as TYPE/KEY
    #[arg(value_name = "TYPE/KEY")]
    pub(crate) agent: String,
    /// The method
    pub(crate) method: String,
    #[arg(help = ARGUMENT_HELP, allow_negative_numbers = true)]
    pub(crate) argument: Option<String>,
    /// For a query: read committed state beside the live agent
    #[arg(long)]
    pub(crate) snapshot: bool,
    #[command(flatten)]
    pub(crate) options: CallArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CallArguments {
    #[command(flatten)]
    pub(crate) keyed: Keyed,
    /// The longest to wait, such as 500ms or 2s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Keyed {
    /// Makes a repeat answer as the first request did
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    /// Only this agent type
    #[arg(value_name = "TYPE")]
    pub(crate) agent_type: Option<String>,
    /// Only keys that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Show what is known of an agent, without waking it
    Show {
        /// The agent, as TYPE/KEY
        #[arg(value_name = "TYPE/KEY")]
        address: String,
    },
    /// Write an agent's durable state and timers as a JSON document
    Export {
        /// The agent, as TYPE/KEY
        #[arg(value_name = "TYPE/KEY")]
        address: String,
        /// Where to; stdout for `-`
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
    /// Give an agent the state and timers of an exported document
    Import {
        /// The agent, as TYPE/KEY; it may be another than the exported one
        #[arg(value_name = "TYPE/KEY")]
        address: String,
        /// Where from; stdin for `-`
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// Replace an agent that exists
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        keyed: Keyed,
    },
    /// Delete an agent with all its state and timers
    Delete {
        /// The agent, as TYPE/KEY
        #[arg(value_name = "TYPE/KEY")]
        address: String,
        #[command(flatten)]
        keyed: Keyed,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The data folder of the node
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    /// The address that the node listens on
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
}
