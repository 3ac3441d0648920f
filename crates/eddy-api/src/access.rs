//! Tokens and tenants.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// What is known of a token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id, which is no secret.
    pub id: String,
    /// Its tenant; absent for an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `read`, `call`, `deploy`, `admin` or `operator`.
    pub role: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// When it ends; absent when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires: Option<String>,
}

/// The tokens that the bearer may know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// The tokens, the oldest first.
    pub items: Vec<Token>,
}

/// A token to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its tenant; the bearer's own when absent. An operator's token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `read`, `call`, `deploy`, `admin` or `operator`.
    pub role: String,
    /// What it is for.
    #[serde(default)]
    #[schema(required = false)]
    pub name: String,
    /// How long it is good, such as `30days`; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token: to be sent as `Authorization: Bearer TOKEN`. The node keeps a digest only, so it is
    /// shown this once.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub info: Token,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token: this ends in logs.
        let mut shown = f.debug_struct("CreatedToken");
        shown.field("info", &self.info).finish_non_exhaustive()
    }
}

/// What a tenant may use at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantLimits {
    /// Memory of its live instances, idle and running, in bytes; null for no limit.
    pub memory_bytes: Option<u64>,
    /// Requests handled at once; null for no limit.
    pub concurrency: Option<u32>,
    /// Requests in a second; null for no limit.
    pub rate: Option<u32>,
    /// What its agents and its code take on disk, in bytes; null for no limit.
    pub storage_bytes: Option<u64>,
}

/// What a tenant uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantUsage {
    /// Memory of its live instances, in bytes.
    pub memory_bytes: u64,
    /// Requests under way.
    pub requests: u32,
    /// What its agents and its code take on disk, in bytes, when that was last counted; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// What it may use.
    pub limits: TenantLimits,
    /// What it uses.
    pub usage: TenantUsage,
    /// Hosts that its apps may list; null for the public internet, or for the default tenant for
    /// everything.
    pub hosts: Option<Vec<String>>,
    /// Secrets of the node that its apps may refer to. The default tenant's may refer to all.
    pub secrets: Vec<String>,
}

/// The tenants that the bearer may know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantList {
    /// The tenants, by name.
    pub items: Vec<Tenant>,
}

/// What to change of a tenant. What is absent stays as it is; null takes a limit away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SetTenant {
    /// Memory of its live instances, in bytes.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub memory_bytes: Option<Option<u64>>,
    /// Requests handled at once.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub concurrency: Option<Option<u32>>,
    /// Requests in a second.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub rate: Option<Option<u32>>,
    /// What its agents and its code take on disk, in bytes.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub storage_bytes: Option<Option<u64>>,
    /// Hosts that its apps may list; null for the public internet, or for the default tenant for
    /// everything.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub hosts: Option<Option<Vec<String>>>,
    /// Secrets of the node that its apps may refer to. The default tenant's may refer to all, and cannot be
    /// kept from some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
}

/// Tells null from absent.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_absent() {
        let read = |text: &str| serde_json::from_str::<SetTenant>(text).expect("it reads");
        assert_eq!(read("{}"), SetTenant::default());
        assert_eq!(read("{\"rate\":null}").rate, Some(None));
        assert_eq!(read("{\"rate\":5}").rate, Some(Some(5)));
        let none = SetTenant {
            rate: Some(None),
            ..SetTenant::default()
        };
        assert_eq!(
            serde_json::to_string(&none).expect("plain"),
            "{\"rate\":null}"
        );
    }
}
