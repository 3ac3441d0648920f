//! What a machine needs to run a node and to deploy projects: looked at without a node, and asked of
//! the node where one answers. Each file gives a few checks; printing them is the command's.

pub(crate) mod data;
pub(crate) mod machine;
pub(crate) mod node;
pub(crate) mod tools;

use serde::Serialize;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// A node runs, with less than it could, or something cannot be deployed from here.
    Warn,
    /// A node would not start, or would lose what it promised.
    Fail,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) status: Status,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Check {
    pub(crate) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, found.into(), None)
    }

    pub(crate) fn warn(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warn, found.into(), Some(advice.into()))
    }

    pub(crate) fn fail(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Fail, found.into(), Some(advice.into()))
    }

    fn new(name: &'static str, status: Status, found: String, advice: Option<String>) -> Self {
        Self {
            name,
            status,
            found,
            advice,
        }
    }
}

/// Bytes as people read them.
fn bytes(count: u64) -> String {
    bytesize::ByteSize(count).display().iec().to_string()
}
