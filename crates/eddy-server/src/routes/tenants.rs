//! Tenants: what they may use, and what they use.

use crate::body;
use crate::caller::{Look, Operate, Who};
use crate::reply::{Failure, document};
use crate::request::{Options, Segments};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use eddy_api::{Problem, SetTenant, Tenant, TenantLimits, TenantList, TenantUsage};
use eddy_node::TenantInfo;
use eddy_types::manifest::{EnvName, Host};
use eddy_types::{EddyError, ErrorCode, TenantId, TenantSpec};
use serde::de::DeserializeOwned;

/// List tenants
///
/// An operator sees all, everybody else the own one.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "tenants",
    operation_id = "listTenants",
    responses(
        (status = 200, description = "The tenants, by name", body = TenantList),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    who: Who<Look>,
) -> Result<Response, Failure> {
    let items = state.node.tenants(&who)?.into_iter().map(shown).collect();
    Ok(document(StatusCode::OK, &TenantList { items }))
}

/// Show a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{name}",
    tag = "tenants",
    operation_id = "showTenant",
    params(("name" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The tenant", body = Tenant),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    who: Who<Look>,
    Segments(name): Segments<String>,
) -> Result<Response, Failure> {
    let info = state.node.tenant(&who, &TenantId::new(&name)?)?;
    Ok(document(StatusCode::OK, &shown(info)))
}

/// Make a tenant, or change it
///
/// A new one has the default limits (docs/limits.md). What the document does not name stays as it is.
#[utoipa::path(
    put,
    path = "/v1/tenants/{name}",
    tag = "tenants",
    operation_id = "setTenant",
    params(("name" = String, Path, description = "The tenant")),
    request_body = SetTenant,
    responses(
        (status = 200, description = "The tenant as it now is", body = Tenant),
        (status = "default", description = "An error", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn set(
    State(state): State<AppState>,
    who: Who<Operate>,
    Segments(name): Segments<String>,
    Options(_): Options,
    request: Request,
) -> Result<Response, Failure> {
    let tenant = TenantId::new(&name)?;
    let change: SetTenant = body::document(&state, request).await?;
    if tenant.as_str() == TenantId::DEFAULT && change.secrets.is_some() {
        let detail = "the apps of the tenant default may refer to all secrets of the node";
        return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
            .hint("Deploy what must not see them as another tenant.")
            .into());
    }
    let change = Change::new(change)?;
    let set = state.node.set_tenant(&who, &tenant, |spec| change.of(spec));
    Ok(document(StatusCode::OK, &shown(set.await?)))
}

/// A change whose values were checked.
struct Change {
    asked: SetTenant,
    hosts: Option<Option<Vec<Host>>>,
    secrets: Option<Vec<EnvName>>,
}

impl Change {
    fn new(mut asked: SetTenant) -> Result<Self, EddyError> {
        let hosts = asked.hosts.take();
        let hosts = hosts.map(|hosts| hosts.map(|hosts| checked("hosts", hosts)).transpose());
        let secrets = asked
            .secrets
            .take()
            .map(|secrets| checked("secrets", secrets));
        if asked.rate == Some(Some(0)) || asked.concurrency == Some(Some(0)) {
            let detail = "`rate` and `concurrency` are 1 at least, or null for no limit";
            return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
                .hint("To keep a tenant out, revoke its tokens."));
        }
        Ok(Self {
            asked,
            hosts: hosts.transpose()?,
            secrets: secrets.transpose()?,
        })
    }

    fn of(self, mut spec: TenantSpec) -> TenantSpec {
        let (asked, limits) = (self.asked, &mut spec.limits);
        limits.memory = asked.memory_bytes.unwrap_or(limits.memory);
        limits.concurrency = asked.concurrency.unwrap_or(limits.concurrency);
        limits.rate = asked.rate.unwrap_or(limits.rate);
        limits.storage = asked.storage_bytes.unwrap_or(limits.storage);
        spec.hosts = self.hosts.unwrap_or(spec.hosts);
        spec.secrets = self.secrets.unwrap_or(spec.secrets);
        spec
    }
}

/// Texts as values of a manifest.
fn checked<T: DeserializeOwned>(what: &str, texts: Vec<String>) -> Result<Vec<T>, EddyError> {
    let values = texts.into_iter().map(serde_json::Value::from);
    values
        .map(|value| {
            serde_json::from_value(value).map_err(|error| {
                EddyError::new(ErrorCode::InvalidArgument, format!("`{what}`: {error}"))
                    .hint("They are written as in eddy.toml, see docs/manifest.md.")
            })
        })
        .collect()
}

fn shown(info: TenantInfo) -> Tenant {
    let TenantSpec {
        limits,
        hosts,
        secrets,
    } = info.spec;
    let texts = |hosts: Vec<Host>| hosts.iter().map(|host| host.as_str().to_owned()).collect();
    Tenant {
        name: info.tenant.to_string(),
        limits: TenantLimits {
            memory_bytes: limits.memory,
            concurrency: limits.concurrency,
            rate: limits.rate,
            storage_bytes: limits.storage,
        },
        usage: TenantUsage {
            memory_bytes: info.memory as u64,
            requests: info.in_flight,
            storage_bytes: info.storage,
        },
        hosts: hosts.map(texts),
        secrets: secrets
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect(),
    }
}
