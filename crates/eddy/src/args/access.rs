//! What `eddy token` and `eddy tenant` take.

use bytesize::ByteSize;
use clap::{Args, Subcommand};
use eddy_types::Role;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; the first one of a node is an operator's
    Create(TokenCreateArgs),
    /// List tokens, without their secrets
    List {
        /// Of a node that is stopped, by its data folder
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Revoke a token, at once
    Revoke {
        /// Its id, as listed
        id: String,
        /// Of a node that is stopped, by its data folder
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// What it may do: read, call, deploy, admin or operator
    #[arg(long)]
    pub(crate) role: Role,
    /// What it is for
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) name: String,
    /// How long it is good, such as 12h or 30days; for ever unless given
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) expires: Option<Duration>,
    /// For a node that is stopped, by its data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// List tenants: an operator sees all
    List,
    /// Show a tenant
    Show {
        /// Its name
        name: String,
    },
    /// Make a tenant, or change what it may use
    Set(TenantSetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TenantSetArgs {
    /// Its name
    pub(crate) name: String,
    /// Memory of its live instances, such as 512MiB, or none
    #[arg(long, value_name = "SIZE|none", value_parser = Bound::size)]
    pub(crate) memory: Option<Bound<u64>>,
    /// Requests handled at once, or none
    #[arg(long, value_name = "N|none", value_parser = Bound::number)]
    pub(crate) concurrency: Option<Bound<u32>>,
    /// Requests in a second, or none
    #[arg(long, value_name = "N|none", value_parser = Bound::number)]
    pub(crate) rate: Option<Bound<u32>>,
    /// What its agents and its code take on disk, such as 10GiB, or none
    #[arg(long, value_name = "SIZE|none", value_parser = Bound::size)]
    pub(crate) storage: Option<Bound<u64>>,
    /// Hosts that its apps may list, with commas in between, or public; for the tenant default all
    #[arg(long, value_name = "HOSTS|public|all")]
    pub(crate) hosts: Option<String>,
    /// Secrets of the node that its apps may refer to, with commas in between; default has all
    #[arg(long, value_name = "NAMES")]
    pub(crate) secrets: Option<String>,
}

/// A limit, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound<T> {
    None,
    Of(T),
}

impl<T> Bound<T> {
    pub(crate) fn into_limit(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::Of(limit) => Some(limit),
        }
    }
}

impl Bound<u64> {
    fn size(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            text => text.parse().map(|size: ByteSize| Self::Of(size.as_u64())),
        }
    }
}

impl Bound<u32> {
    fn number(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            text => text
                .parse()
                .map(Self::Of)
                .map_err(|error| format!("{error}")),
        }
    }
}
