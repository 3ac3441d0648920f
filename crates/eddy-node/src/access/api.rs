//! Tenants and tokens as the server asks for them. Each change is checked against the bearer who
//! wants it.

use super::{NewToken, Session, TenantInfo, TokenInfo, TokenText};
use crate::node::Node;
use crate::requests::refuse_when_stopping;
use crate::tasks;
use eddy_types::limits::DEFAULT_TENANT_LIMITS;
use eddy_types::{EddyError, Permission, Role, TenantId, TenantSpec};

impl Node {
    /// Whether requests need a token: there is one.
    #[must_use]
    pub fn demands_tokens(&self) -> bool {
        self.inner.access.demands_tokens()
    }

    /// Who asks, by the `token` shown, and for which tenant: the one named, else the token's own, else
    /// the default one.
    ///
    /// # Errors
    /// `unauthenticated`; `permission-denied` for another tenant than the token's; `unknown-tenant`
    /// for an operator.
    pub fn session(&self, token: Option<&str>, tenant: Option<&str>) -> Result<Session, EddyError> {
        self.inner.access.session(token, tenant)
    }

    /// A session that was begun before, for its next request.
    ///
    /// # Errors
    /// As [`Self::session`]: its token may have been revoked meanwhile.
    pub fn session_again(
        &self,
        session: &Session,
        tenant: Option<&str>,
    ) -> Result<Session, EddyError> {
        self.inner.access.again(session, tenant)
    }

    /// Makes a token. An operator makes any, an admin those of the own tenant.
    ///
    /// # Errors
    /// `permission-denied`, `operator-needed`, `invalid-argument`, `unknown-tenant`,
    /// `limit-exceeded`, or what the disk says.
    pub async fn create_token(
        &self,
        by: &Session,
        new: NewToken,
    ) -> Result<(TokenInfo, TokenText), EddyError> {
        by.may(Permission::Administer)?;
        if new.role == Role::Operator || new.tenant.as_ref() != Some(by.tenant()) {
            by.may(Permission::Operate)?;
        }
        let inner = self.inner.clone();
        refuse_when_stopping(&inner)?;
        // It may have been revoked while the request came in.
        inner.access.again(by, None)?;
        tasks::blocking(move || inner.access.create_token(new, true)).await?
    }

    /// The tokens that a bearer may know of: an operator of all, an admin of the own tenant's.
    ///
    /// # Errors
    /// `permission-denied`.
    pub fn tokens(&self, by: &Session) -> Result<Vec<TokenInfo>, EddyError> {
        by.may(Permission::Administer)?;
        Ok(self.inner.access.tokens(scope(by)))
    }

    /// Revokes a token, at once: links that were opened with it are refused their next request.
    ///
    /// # Errors
    /// `permission-denied`, `unknown-token`, `operator-needed`, or what the disk says.
    pub async fn revoke_token(&self, by: &Session, id: &str) -> Result<(), EddyError> {
        by.may(Permission::Administer)?;
        let (inner, id, scope) = (self.inner.clone(), id.to_owned(), scope(by).cloned());
        refuse_when_stopping(&inner)?;
        inner.access.again(by, None)?;
        tasks::blocking(move || inner.access.revoke_token(&id, scope.as_ref(), true)).await?
    }

    /// The tenants that a bearer may know of: an operator of all, others of their own.
    ///
    /// # Errors
    /// `permission-denied`.
    pub fn tenants(&self, by: &Session) -> Result<Vec<TenantInfo>, EddyError> {
        by.may(Permission::Look)?;
        let all = self.inner.access.tenants();
        let visible = |info: &TenantInfo| scope(by).is_none_or(|own| *own == info.tenant);
        Ok(all.into_iter().filter(visible).collect())
    }

    /// One tenant.
    ///
    /// # Errors
    /// `permission-denied`; `unknown-tenant`, also for one that the bearer may not know of.
    pub fn tenant(&self, by: &Session, tenant: &TenantId) -> Result<TenantInfo, EddyError> {
        by.may(Permission::Look)?;
        match scope(by) {
            Some(own) if own != tenant => Err(super::unknown_tenant(tenant.as_str())),
            _ => self.inner.access.tenant(tenant),
        }
    }

    /// Makes a tenant, with the default limits, or changes what is said of it. Counts at once for
    /// limits and hosts; secrets are looked up when an app is deployed or loaded.
    ///
    /// # Errors
    /// `permission-denied`, `limit-exceeded`, or what the disk says.
    pub async fn set_tenant(
        &self,
        by: &Session,
        tenant: &TenantId,
        change: impl FnOnce(TenantSpec) -> TenantSpec + Send + 'static,
    ) -> Result<TenantInfo, EddyError> {
        by.may(Permission::Operate)?;
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        refuse_when_stopping(&inner)?;
        inner.access.again(by, None)?;
        let new = || TenantSpec {
            limits: DEFAULT_TENANT_LIMITS,
            ..TenantSpec::default()
        };
        tasks::blocking(move || {
            let change = |spec: Option<TenantSpec>| change(spec.unwrap_or_else(new));
            inner.access.set_tenant(&tenant, change)
        })
        .await?
    }
}

/// The only tenant whose things the bearer may know of; none for an operator.
fn scope(by: &Session) -> Option<&TenantId> {
    (!by.role().may(Permission::Operate)).then(|| by.tenant())
}
