//! Making and revoking tokens, and changing tenants. First on disk, then in memory: what was answered
//! stays.

use super::{
    Access, Account, Entry, Known, TenantInfo, TokenInfo, TokenText, file, token, unknown_tenant,
};
use crate::clock;
use crate::data_dir::DataDir;
use eddy_types::limits::{MAX_TENANTS, MAX_TOKEN_NAME_BYTES, MAX_TOKENS_PER_TENANT};
use eddy_types::{EddyError, ErrorCode, Role, TenantId, TenantSpec};
use file::{Stored, StoredToken};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its tenant; none for an operator's, which belongs to the node.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub role: Role,
    /// What it is for.
    pub name: String,
    /// How long it is good; for ever when absent.
    pub lifetime: Option<Duration>,
}

impl Access {
    /// Makes a token. `guarded` when the node serves: then somebody has to be left who looks after it.
    pub(crate) fn create_token(
        &self,
        new: NewToken,
        guarded: bool,
    ) -> Result<(TokenInfo, TokenText), EddyError> {
        let _changing = self.changing.lock();
        let known = self.known.read().stored();
        self.check_new(&new, &known, guarded)?;
        let (id, digest, text) = token::draw()?;
        let now = clock::now();
        let made = StoredToken {
            id,
            tenant: new.tenant,
            role: new.role,
            name: new.name,
            created: now,
            expires: new.lifetime.map(|lifetime| now.plus(lifetime)),
            digest,
        };
        let mut next = known;
        next.tokens.push(made.clone());
        file::write(&self.dir, &next)?;
        let entry = Entry::new(made);
        let info = entry.info.clone();
        self.known.write().tokens.insert(info.id.clone(), entry);
        Ok((info, text))
    }

    fn check_new(&self, new: &NewToken, known: &Stored, guarded: bool) -> Result<(), EddyError> {
        let bad = |detail: String| EddyError::new(ErrorCode::InvalidArgument, detail);
        match (&new.tenant, new.role) {
            (Some(tenant), Role::Operator) => {
                return Err(bad(format!(
                    "an operator's token is of no tenant, but {tenant:?} was asked for"
                ))
                .hint("Leave the tenant out, or choose the role admin."));
            }
            (None, role) if role != Role::Operator => {
                return Err(bad(format!(
                    "a token of the role {role} is of a tenant, and none was said"
                )));
            }
            (Some(tenant), _) if !known.tenants.contains_key(tenant) => {
                return Err(unknown_tenant(tenant.as_str()));
            }
            _ => {}
        }
        if new.name.len() > MAX_TOKEN_NAME_BYTES || new.name.contains(char::is_control) {
            return Err(bad(format!(
                "the name of a token has at most {MAX_TOKEN_NAME_BYTES} bytes and no control characters"
            )));
        }
        if new.lifetime.is_some_and(|lifetime| lifetime.is_zero()) {
            return Err(bad("a token that is good for no time is none".to_owned()));
        }
        let same = known
            .tokens
            .iter()
            .filter(|token| token.tenant == new.tenant);
        if same.count() >= MAX_TOKENS_PER_TENANT {
            let detail = format!("there are {MAX_TOKENS_PER_TENANT} tokens already");
            return Err(EddyError::new(ErrorCode::LimitExceeded, detail)
                .hint("Revoke those that nobody uses: `eddy token list`."));
        }
        if guarded && known.tokens.is_empty() && new.role != Role::Operator {
            let detail = "from the first token on the node demands one, and only an operator's can make it more tenants and tokens";
            return Err(EddyError::new(ErrorCode::OperatorNeeded, detail)
                .hint("Make an operator's token first: `eddy token create --role operator`."));
        }
        Ok(())
    }

    /// Revokes a token, of `tenant` when that is given: from now on it is good for nothing.
    pub(crate) fn revoke_token(
        &self,
        id: &str,
        tenant: Option<&TenantId>,
        guarded: bool,
    ) -> Result<(), EddyError> {
        let _changing = self.changing.lock();
        let mut next = self.known.read().stored();
        let visible = |token: &StoredToken| tenant.is_none() || token.tenant.as_ref() == tenant;
        let found = next
            .tokens
            .iter()
            .position(|token| token.id == id && visible(token));
        let gone = next.tokens.remove(found.ok_or_else(|| unknown_token(id))?);
        let now = clock::now();
        let operators = |token: &StoredToken| {
            token.role == Role::Operator && token.expires.is_none_or(|end| now < end)
        };
        if guarded && gone.role == Role::Operator && !next.tokens.iter().any(operators) {
            let detail =
                "it is the last operator's token: nobody could look after the node any more";
            return Err(EddyError::new(ErrorCode::OperatorNeeded, detail)
                .hint("Make another one first; or stop the node and use `--data`."));
        }
        file::write(&self.dir, &next)?;
        if let Some(entry) = self.known.write().tokens.remove(id) {
            entry.revoked.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Makes a tenant, or changes what is said of it.
    pub(crate) fn set_tenant(
        &self,
        tenant: &TenantId,
        change: impl FnOnce(Option<TenantSpec>) -> TenantSpec,
    ) -> Result<TenantInfo, EddyError> {
        let _changing = self.changing.lock();
        let mut next = self.known.read().stored();
        let spec = change(next.tenants.get(tenant).cloned());
        next.tenants.insert(tenant.clone(), spec.clone());
        if next.tenants.len() > MAX_TENANTS {
            let detail = format!("the node has {MAX_TENANTS} tenants already");
            return Err(
                EddyError::new(ErrorCode::LimitExceeded, detail).hint("Run another node for more.")
            );
        }
        file::write(&self.dir, &next)?;
        let mut known = self.known.write();
        let account = known.account_or_new(tenant);
        account.set_spec(spec);
        let limited = known.limits_storage();
        self.limits_storage.store(limited, Ordering::Relaxed);
        Ok(super::described(&account))
    }
}

impl Known {
    pub(super) fn account_or_new(&mut self, tenant: &TenantId) -> Arc<Account> {
        let new = || Account::new(tenant.clone(), TenantSpec::default());
        self.tenants
            .entry(tenant.clone())
            .or_insert_with(new)
            .clone()
    }
}

fn unknown_token(id: &str) -> EddyError {
    EddyError::new(ErrorCode::UnknownToken, format!("there is no token {id:?}"))
        .hint("`eddy token list` shows them.")
}

/// The tenants and tokens of a data folder whose node is stopped. Who can write the folder may do
/// everything, the last operator's token included.
#[derive(Debug)]
pub struct OfflineAccess(Access);

impl OfflineAccess {
    /// Opens the folder, and makes it when it is missing. Blocks.
    ///
    /// # Errors
    /// `data-in-use` while a node runs over it, or what the disk says.
    pub fn open(data: &Path) -> Result<Self, EddyError> {
        let dir = Arc::new(DataDir::open(data)?);
        Access::load(dir).map(Self)
    }

    /// Whether a node over this folder demands tokens. Takes no lock, and makes nothing.
    ///
    /// # Errors
    /// `incompatible-data`, or what the disk says.
    pub fn demands_tokens(data: &Path) -> Result<bool, EddyError> {
        file::look(data).map(|stored| !stored.tokens.is_empty())
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `invalid-argument`, `unknown-tenant`, `limit-exceeded`, or what the disk says.
    pub fn create_token(&self, new: NewToken) -> Result<(TokenInfo, TokenText), EddyError> {
        self.0.create_token(new, false)
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenInfo> {
        self.0.tokens(None)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// `unknown-token`, or what the disk says.
    pub fn revoke_token(&self, id: &str) -> Result<(), EddyError> {
        self.0.revoke_token(id, None, false)
    }
}
