//! Tenants and tokens: who asks, for which tenant, and what they may do. A node without tokens trusts
//! whoever reaches it, which is for development on one machine; from the first token on, it demands one.
//!
//! | module | what |
//! |---|---|
//! | `token` | tokens as text |
//! | `file` | what is kept on disk |
//! | `account`, `meter`, `storage` | what a tenant uses and may use |
//! | `session` | a request's tenant and role |
//! | `change` | making and revoking tokens, changing tenants |
//! | `api` | all that, for the server |

mod account;
mod api;
mod change;
mod file;
mod meter;
mod session;
mod storage;
mod token;

pub(crate) use account::Account;
pub use account::TenantPermit;
pub use change::{NewToken, OfflineAccess};
pub use session::Session;
pub(crate) use storage::storage_loop;
pub use token::TokenText;

use crate::data_dir::DataDir;
use eddy_types::{Digest, EddyError, ErrorCode, HashMap, Role, TenantId, TenantSpec, Timestamp};
use file::{Stored, StoredToken};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of a token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id, which is no secret.
    pub id: String,
    /// Its tenant; none for an operator's.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub role: Role,
    /// What it is for, in its maker's words.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// What is known of a tenant.
#[derive(Clone, Debug)]
pub struct TenantInfo {
    /// Its name.
    pub tenant: TenantId,
    /// What an operator said of it.
    pub spec: TenantSpec,
    /// Requests under way.
    pub in_flight: u32,
    /// What its live instances count for, in bytes.
    pub memory: usize,
    /// What its agents and its code take on disk, in bytes, when that was last counted. Only known
    /// where it has a limit.
    pub storage: Option<u64>,
}

/// A token that the node knows.
#[derive(Debug)]
struct Entry {
    info: TokenInfo,
    digest: Digest,
    revoked: AtomicBool,
}

impl Entry {
    fn new(stored: StoredToken) -> Arc<Self> {
        Arc::new(Self {
            info: TokenInfo {
                id: stored.id,
                tenant: stored.tenant,
                role: stored.role,
                name: stored.name,
                created: stored.created,
                expires: stored.expires,
            },
            digest: stored.digest,
            revoked: AtomicBool::new(false),
        })
    }

    fn stored(&self) -> StoredToken {
        let info = self.info.clone();
        StoredToken {
            id: info.id,
            tenant: info.tenant,
            role: info.role,
            name: info.name,
            created: info.created,
            expires: info.expires,
            digest: self.digest,
        }
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        !self.revoked.load(Ordering::Acquire) && self.info.expires.is_none_or(|end| now < end)
    }
}

/// All tenants and tokens of a node.
#[derive(Debug)]
pub(crate) struct Access {
    dir: Arc<DataDir>,
    /// Held by who changes them, from what is read first to the switch.
    changing: Mutex<()>,
    known: RwLock<Known>,
    limits_storage: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    tenants: BTreeMap<TenantId, Arc<Account>>,
    tokens: HashMap<String, Arc<Entry>>,
}

impl Access {
    pub(crate) fn load(dir: Arc<DataDir>) -> Result<Self, EddyError> {
        let stored = file::read(&dir)?;
        let mut known = Known::default();
        for (tenant, spec) in stored.tenants {
            known
                .tenants
                .insert(tenant.clone(), Account::new(tenant, spec));
        }
        let default = TenantId::default_tenant();
        known
            .tenants
            .entry(default.clone())
            .or_insert_with(|| Account::new(default, TenantSpec::default()));
        for token in stored.tokens {
            known.tokens.insert(token.id.clone(), Entry::new(token));
        }
        let limits_storage = AtomicBool::new(known.limits_storage());
        Ok(Self {
            dir,
            changing: Mutex::default(),
            known: RwLock::new(known),
            limits_storage,
        })
    }

    /// Whether requests need a token.
    pub(crate) fn demands_tokens(&self) -> bool {
        !self.known.read().tokens.is_empty()
    }

    /// Whether some tenant has a limit of what it stores.
    pub(crate) fn limits_storage(&self) -> bool {
        self.limits_storage.load(Ordering::Relaxed)
    }

    /// All accounts.
    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        self.known.read().tenants.values().cloned().collect()
    }

    /// The account of a tenant. Data of one that nobody set up, from a folder of an older version
    /// say, counts as of one without limits.
    pub(crate) fn account(&self, tenant: &TenantId) -> Arc<Account> {
        if let Some(found) = self.known.read().tenants.get(tenant) {
            return found.clone();
        }
        self.known.write().account_or_new(tenant)
    }

    pub(crate) fn tenants(&self) -> Vec<TenantInfo> {
        let known = self.known.read();
        known
            .tenants
            .values()
            .map(|account| described(account))
            .collect()
    }

    pub(crate) fn tenant(&self, tenant: &TenantId) -> Result<TenantInfo, EddyError> {
        let known = self.known.read();
        let found = known
            .tenants
            .get(tenant)
            .ok_or_else(|| unknown_tenant(tenant.as_str()))?;
        Ok(described(found))
    }

    /// Tokens, in order of their making; with `tenant`, only of that one.
    pub(crate) fn tokens(&self, tenant: Option<&TenantId>) -> Vec<TokenInfo> {
        let known = self.known.read();
        let wanted = |info: &TokenInfo| tenant.is_none() || info.tenant.as_ref() == tenant;
        let all = known.tokens.values().map(|entry| entry.info.clone());
        let mut found: Vec<_> = all.filter(wanted).collect();
        found.sort_unstable_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        found
    }
}

impl Known {
    fn limits_storage(&self) -> bool {
        let mut accounts = self.tenants.values();
        accounts.any(|account| account.spec().limits.storage.is_some())
    }

    fn stored(&self) -> Stored {
        let tenants = self.tenants.iter();
        let mut stored = Stored {
            tenants: tenants
                .map(|(tenant, account)| (tenant.clone(), (*account.spec()).clone()))
                .collect(),
            tokens: self.tokens.values().map(|entry| entry.stored()).collect(),
            ..Stored::default()
        };
        stored
            .tokens
            .sort_unstable_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        stored
    }
}

fn described(account: &Account) -> TenantInfo {
    let spec = (*account.spec()).clone();
    let limits = spec.limits;
    TenantInfo {
        tenant: account.tenant.clone(),
        spec,
        in_flight: account.in_flight(),
        memory: account.memory.used(),
        // Without a limit nobody keeps it up to date.
        storage: limits.storage.and_then(|_| account.storage.counted()),
    }
}

fn unknown_tenant(tenant: &str) -> EddyError {
    EddyError::new(
        ErrorCode::UnknownTenant,
        format!("there is no tenant {tenant:?}"),
    )
    .hint("`eddy tenant list` shows them; `eddy tenant set NAME` makes one.")
}
