//! Who may do what: roles of tokens, what each role may, and what a tenant may use. Where tokens are
//! kept and checked is eddy-node's.

use crate::manifest::{EnvName, Host};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a token lets its bearer do. All but [`Role::Operator`] belong to one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks at everything of the tenant, and runs nothing.
    Read,
    /// Calls agents and invokes functions, and asks for single invocations. For front ends.
    Call,
    /// Deploys, and everything that `read` and `call` may: who chooses the code could do it anyway.
    Deploy,
    /// All of the above, and the tenant's own tokens.
    Admin,
    /// The node: tenants, their limits and tokens, metrics; and everything in every tenant.
    Operator,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// To list and look at what there is: apps, agents, invocations, logs, dead letters.
    Look,
    /// To look at one invocation by its id, which nobody can guess.
    Follow,
    /// To call agents and invoke functions.
    Call,
    /// To change what is deployed and what is stored: apps, whole agents, dead letters.
    Change,
    /// To make, list and revoke tokens of the tenant.
    Administer,
    /// To look after the node: tenants, tokens of any tenant, metrics.
    Operate,
}

impl Role {
    /// Every role, the least powerful first.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Call,
        Self::Deploy,
        Self::Admin,
        Self::Operator,
    ];

    /// Whether a bearer of this role may do what needs `permission`.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Read => matches!(permission, P::Look | P::Follow),
            Self::Call => matches!(permission, P::Call | P::Follow),
            Self::Deploy => matches!(permission, P::Look | P::Follow | P::Call | P::Change),
            Self::Admin => !matches!(permission, P::Operate),
            Self::Operator => true,
        }
    }

    /// The role as users write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Call => "call",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?} is not a role: use read, call, deploy, admin or operator")
        })
    }
}

/// What a tenant may use at once. `None` is no limit but the node's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantLimits {
    /// Memory of its live instances, idle and running, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Requests from outside that are handled at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Requests from outside in a second, with a second's worth of burst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// What its agents and its code take on disk, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<u64>,
}

/// What an operator says of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSpec {
    /// What it may use.
    pub limits: TenantLimits,
    /// Hosts that its apps may list in their manifests. None: every name and address of the public
    /// internet, and nothing of this machine and of private networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<Host>>,
    /// Secrets of the node that its apps may refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<EnvName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/security.md.
    #[test]
    fn roles_may_what_the_table_says() {
        use Permission as P;
        let all = [
            P::Look,
            P::Follow,
            P::Call,
            P::Change,
            P::Administer,
            P::Operate,
        ];
        let may = |role: Role| all.map(|permission| u8::from(role.may(permission)));
        assert_eq!(may(Role::Read), [1, 1, 0, 0, 0, 0]);
        assert_eq!(may(Role::Call), [0, 1, 1, 0, 0, 0]);
        assert_eq!(may(Role::Deploy), [1, 1, 1, 1, 0, 0]);
        assert_eq!(may(Role::Admin), [1, 1, 1, 1, 1, 0]);
        assert_eq!(may(Role::Operator), [1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            let json = serde_json::to_string(&role).expect("plain");
            assert_eq!(json, format!("\"{role}\""));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
