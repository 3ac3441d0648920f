//! Who a request comes from: its tenant, its role, and whether that still holds. What a bearer may
//! not see, an error does not tell.

use super::account::{Account, TenantPermit};
use super::{Access, Entry, token, unknown_tenant};
use crate::clock;
use eddy_types::{EddyError, ErrorCode, Permission, Role, TenantId};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A bearer acting for a tenant.
#[derive(Clone, Debug)]
pub struct Session {
    role: Role,
    account: Arc<Account>,
    /// None on a node without tokens.
    token: Option<Arc<Entry>>,
}

impl Session {
    /// The tenant acted for.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.account.tenant
    }

    /// What the bearer may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether nobody had to show a token: the node has none.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.token.is_none()
    }

    /// The tenant, when the bearer may do that there.
    ///
    /// # Errors
    /// `permission-denied`.
    pub fn may(&self, permission: Permission) -> Result<&TenantId, EddyError> {
        if self.role.may(permission) {
            return Ok(self.tenant());
        }
        let needed = Role::ALL.into_iter().find(|role| role.may(permission));
        let needed = needed.unwrap_or(Role::Operator);
        Err(EddyError::new(
            ErrorCode::PermissionDenied,
            format!("a token of the role {} may not do this", self.role),
        )
        .hint(format!(
            "Use a token of the role {needed}: `eddy token create --role {needed}`."
        )))
    }

    /// Lets one request in: within the tenant's rate and concurrency, for as long as the permit lives.
    ///
    /// # Errors
    /// `tenant-limit`.
    pub fn admit(&self) -> Result<TenantPermit, EddyError> {
        self.account.admit()
    }
}

impl Session {
    /// Waits until the tenant may have another deploy compiled, which it then may until the permit is
    /// dropped. A tenant other than the default one has one at a time, so that another always can.
    ///
    /// # Errors
    /// `tenant-limit` when too many of its deploys wait already.
    pub async fn deploy_turn(&self) -> Result<OwnedSemaphorePermit, EddyError> {
        self.account.deploy().await
    }
}

impl Access {
    /// The session of who shows `token` and wants to act for `tenant`; the token's own when absent.
    pub(crate) fn session(
        &self,
        token: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<Session, EddyError> {
        let entry = match token {
            Some(text) => Some(self.entry(text)?),
            None if self.demands_tokens() => return Err(no_token()),
            None => None,
        };
        self.act(entry, tenant)
    }

    /// A session that was begun before, for another request: as long as its token is good.
    pub(crate) fn again(
        &self,
        session: &Session,
        tenant: Option<&str>,
    ) -> Result<Session, EddyError> {
        match &session.token {
            Some(entry) if !entry.is_valid(clock::now()) => return Err(bad_token()),
            None if self.demands_tokens() => return Err(no_token()),
            _ => {}
        }
        if tenant.is_none_or(|asked| asked == session.tenant().as_str()) {
            return Ok(session.clone());
        }
        self.act(session.token.clone(), tenant)
    }

    fn entry(&self, text: &str) -> Result<Arc<Entry>, EddyError> {
        let (id, secret) = token::parts(text).ok_or_else(bad_token)?;
        let found = self.known.read().tokens.get(id).cloned();
        let entry = found.ok_or_else(bad_token)?;
        let good = token::is_secret_of(&entry.digest, secret) && entry.is_valid(clock::now());
        good.then_some(entry).ok_or_else(bad_token)
    }

    fn act(&self, token: Option<Arc<Entry>>, asked: Option<&str>) -> Result<Session, EddyError> {
        let role = token
            .as_ref()
            .map_or(Role::Operator, |entry| entry.info.role);
        let own = token.as_ref().and_then(|entry| entry.info.tenant.as_ref());
        let tenant = match (own, asked) {
            (Some(own), None) => own.as_str(),
            (Some(own), Some(asked)) if asked == own.as_str() => asked,
            // Whether there is such a tenant is not for this bearer to know.
            (Some(own), Some(_)) => return Err(other_tenant(own)),
            (None, Some(asked)) => asked,
            (None, None) => TenantId::DEFAULT,
        };
        let found = self.known.read().tenants.get(tenant).cloned();
        let account = found.ok_or_else(|| unknown_tenant(tenant))?;
        Ok(Session {
            role,
            account,
            token,
        })
    }
}

fn no_token() -> EddyError {
    EddyError::new(
        ErrorCode::Unauthenticated,
        "this node demands a token, and the request has none",
    )
    .hint("Send it as `Authorization: Bearer TOKEN`; for the command line set EDDY_TOKEN.")
}

/// One answer for all: what is wrong with a token is its owner's to know.
fn bad_token() -> EddyError {
    EddyError::new(ErrorCode::Unauthenticated, "the token is not valid here").hint(
        "It may be mistyped, revoked, expired or of another node. `eddy token create` makes one.",
    )
}

fn other_tenant(own: &TenantId) -> EddyError {
    EddyError::new(
        ErrorCode::PermissionDenied,
        format!("the token is of the tenant {own:?}, and acts for no other"),
    )
    .hint("Leave the tenant out, or use a token of that tenant.")
}
