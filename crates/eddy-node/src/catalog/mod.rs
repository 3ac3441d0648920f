//! What is deployed: apps with their loaded code, found by function and by agent type. Kept as one
//! JSON file an app and one file a component, each written atomically.
//!
//! An app whose code does not load stays in the catalog without it: its names stay its own, and
//! whoever wants it is told to try again.

mod app;
mod change;
mod files;
mod load;
mod python;
mod suggest;

pub(crate) use app::{App, Loaded};
pub(crate) use load::prepare;

use crate::access::{Access, Account};
use crate::data_dir::DataDir;
use crate::load::Load;
use eddy_types::{
    AgentId, Component, ComponentKind, Digest, Durability, EddyError, ErrorCode, FunctionId,
    FunctionSpec, HashMap, Key, MethodName, MethodSpec, Name, TenantId, TimeoutSpec,
};
use eddy_wasm::Engine;
use files::{Files, Stored, read_app};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Default)]
struct Tenant {
    apps: BTreeMap<Name, Arc<App>>,
    functions: HashMap<Name, Arc<App>>,
    agents: HashMap<Name, Arc<App>>,
}

impl Tenant {
    fn index(&mut self) {
        self.functions.clear();
        self.agents.clear();
        for app in self.apps.values() {
            let functions = app.spec.functions.keys();
            self.functions
                .extend(functions.map(|name| (name.clone(), app.clone())));
            let agents = app.spec.agents.keys();
            self.agents
                .extend(agents.map(|name| (name.clone(), app.clone())));
        }
    }
}

/// The tenant of an app, and the secrets of the node, of which it may use some.
pub(crate) struct Owner<'a> {
    pub(crate) account: Arc<Account>,
    pub(crate) secrets: &'a BTreeMap<String, String>,
}

impl Owner<'_> {
    /// The value of a secret. One that is kept from the tenant is not there for it.
    fn secret(&self, name: &str) -> Option<String> {
        let granted = self.account.may_use_secret(name);
        self.secrets.get(name).filter(|_| granted).cloned()
    }
}

/// Everything that is deployed.
pub(crate) struct Catalog {
    files: Files,
    /// Held by who changes files and `tenants`, from what is read first to the switch. Only where
    /// blocking is allowed; look-ups never wait for it.
    changing: Mutex<()>,
    /// A write failed: what is stored may name what nothing that is served does.
    differs: AtomicBool,
    tenants: RwLock<HashMap<TenantId, Tenant>>,
}

/// The files of a component: its own, and the runtime that it brought.
fn blobs(component: &Component) -> impl Iterator<Item = Digest> + use<> {
    let runtime = match component.kind {
        ComponentKind::Python { runtime } => Some(runtime),
        ComponentKind::Wasm | ComponentKind::Js => None,
    };
    std::iter::once(component.digest).chain(runtime)
}

impl Catalog {
    pub(crate) fn new(dir: Arc<DataDir>) -> Self {
        Self {
            files: Files::new(dir),
            changing: Mutex::default(),
            differs: AtomicBool::new(false),
            tenants: RwLock::default(),
        }
    }

    /// Loads every app that was deployed. One that no longer loads keeps its names, without code.
    pub(crate) async fn load(
        &self,
        engine: &Engine,
        secrets: &BTreeMap<String, String>,
        access: &Access,
    ) -> Result<(), EddyError> {
        for (tenant, path) in self.files.apps()? {
            let stored: Stored = read_app(&path)?;
            let owner = Owner {
                account: access.account(&tenant),
                secrets,
            };
            let loaded = load::load_app(&self.files, engine, &owner, &stored).await;
            let app = loaded.unwrap_or_else(|error| {
                let name = &stored.spec.name;
                tracing::error!(%tenant, app = %name, %error, "an app does not load");
                let account = owner.account.clone();
                App::without_code(Arc::new(stored.spec), stored.manifest, error, account)
            });
            self.switch(&tenant, app);
        }
        self.sweep_at_start(engine);
        Ok(())
    }

    fn switch(&self, tenant: &TenantId, app: App) {
        let mut tenants = self.tenants.write();
        let found = tenants.entry(tenant.clone()).or_default();
        let old = found.apps.insert(app.spec.name.clone(), Arc::new(app));
        found.index();
        if let Some(old) = old {
            old.replace();
        }
    }

    pub(crate) fn apps(&self, tenant: &TenantId) -> Vec<Arc<App>> {
        let tenants = self.tenants.read();
        tenants
            .get(tenant)
            .map(|found| found.apps.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The apps of all tenants.
    pub(crate) fn every_app(&self) -> Vec<Arc<App>> {
        let tenants = self.tenants.read();
        let apps = tenants.values().flat_map(|tenant| tenant.apps.values());
        apps.cloned().collect()
    }

    /// What a tenant's apps take on disk, in bytes, with their code and the runtimes that they brought. Blocks.
    pub(crate) fn app_bytes(&self, tenant: &TenantId) -> u64 {
        let apps = self.apps(tenant);
        let components = apps.iter().flat_map(|app| &app.spec.components);
        let digests: BTreeSet<_> = components.flat_map(blobs).collect();
        let code = digests
            .into_iter()
            .map(|digest| self.files.blob_size(digest));
        let files = apps
            .iter()
            .map(|app| self.files.app_size(tenant, &app.spec.name));
        code.chain(files).sum()
    }

    /// Whether an app of the tenant has this component.
    pub(crate) fn has_code(&self, tenant: &TenantId, digest: Digest) -> bool {
        let apps = self.apps(tenant);
        let mut components = apps.iter().flat_map(|app| &app.spec.components);
        components.any(|component| component.digest == digest)
    }

    pub(crate) fn app(&self, tenant: &TenantId, name: &Name) -> Option<Arc<App>> {
        self.tenants.read().get(tenant)?.apps.get(name).cloned()
    }

    /// The app of a function that takes an argument, ready to run.
    pub(crate) fn function(&self, function: &FunctionId) -> Result<Arc<App>, EddyError> {
        let tenants = self.tenants.read();
        let found = tenants
            .get(&function.tenant)
            .and_then(|t| t.functions.get(&function.name));
        let app = found.ok_or_else(|| {
            EddyError::new(
                ErrorCode::UnknownFunction,
                format!("there is no function {:?}", function.name),
            )
            .hint("`eddy ls` shows what is deployed.")
        })?;
        let spec = app.spec.functions.get(&function.name);
        if spec.is_some_and(FunctionSpec::serves_http) {
            return Err(not_invocable(&app.spec.name, &function.name));
        }
        app.available()?;
        Ok(app.clone())
    }

    /// An app that is to answer a request, ready to run.
    pub(crate) fn answering(&self, tenant: &TenantId, name: &Name) -> Result<Arc<App>, EddyError> {
        let app = self.app(tenant, name).ok_or_else(|| unknown_app(name))?;
        app.available()?;
        Ok(app)
    }

    /// The app of an agent type, ready to run.
    pub(crate) fn agent_type(&self, tenant: &TenantId, name: &Name) -> Result<Arc<App>, EddyError> {
        let app = self.owner(tenant, name)?;
        app.available()?;
        Ok(app)
    }

    /// The app that an agent type belongs to, with or without code.
    pub(crate) fn owner(&self, tenant: &TenantId, name: &Name) -> Result<Arc<App>, EddyError> {
        let tenants = self.tenants.read();
        let found = tenants.get(tenant).and_then(|t| t.agents.get(name));
        found.cloned().ok_or_else(|| unknown_agent_type(name))
    }

    /// An address and a method given as text: names of what is deployed are not made anew.
    pub(crate) fn address(
        &self,
        tenant: &TenantId,
        (agent_type, key, method): (&str, &str, &str),
    ) -> Result<(AgentId, MethodName), EddyError> {
        let tenants = self.tenants.read();
        match tenants.get(tenant).and_then(|t| t.agents.get(agent_type)) {
            Some(app) => {
                let agent = app.address(tenant, agent_type, key)?;
                let method = app.method(agent.agent_type(), method)?;
                Ok((agent, method))
            }
            None => {
                let (name, key) = (Name::new(agent_type)?, Key::new(key)?);
                let agent = AgentId::new(tenant.clone(), name, key);
                Ok((agent, MethodName::new(method)?))
            }
        }
    }

    /// A method of an agent, as its component describes it. Known without code too: what is sent
    /// to an app that does not load waits for it.
    pub(crate) fn method(
        &self,
        agent: &AgentId,
        method: &MethodName,
    ) -> Result<MethodSpec, EddyError> {
        self.route(agent, method).map(|route| route.method)
    }

    /// How long the agent's type lets a message take; no limit when no app has the type.
    pub(crate) fn timeout_of(&self, agent: &AgentId) -> TimeoutSpec {
        let tenants = self.tenants.read();
        let app = tenants.get(agent.tenant());
        let app = app.and_then(|tenant| tenant.agents.get(agent.agent_type()));
        let spec = app.and_then(|app| app.spec.agents.get(agent.agent_type()));
        spec.map_or(TimeoutSpec::None, |spec| spec.timeout)
    }

    /// When the turns of the agent's type count as committed; none when no app has the type.
    pub(crate) fn durability_of(&self, agent: &AgentId) -> Option<Durability> {
        let tenants = self.tenants.read();
        let app = tenants
            .get(agent.tenant())?
            .agents
            .get(agent.agent_type())?;
        Some(app.spec.agents.get(agent.agent_type())?.durability)
    }

    /// Where a message to an agent goes.
    pub(crate) fn route(&self, agent: &AgentId, method: &MethodName) -> Result<Route, EddyError> {
        let (tenant, name) = (agent.tenant(), agent.agent_type());
        let tenants = self.tenants.read();
        let app = tenants.get(tenant).and_then(|t| t.agents.get(name));
        let app = app.ok_or_else(|| unknown_agent_type(name))?;
        let spec = app.spec.agents.get(name);
        let found = spec.and_then(|spec| {
            Some(Route {
                method: *spec.methods.get(method)?,
                limit: spec.timeout,
                load: app.agent_load(name)?.clone(),
            })
        });
        found.ok_or_else(|| unknown_method(name, method))
    }
}

/// A method of an agent type.
pub(crate) struct Route {
    pub(crate) method: MethodSpec,
    /// How long the type lets a message take.
    pub(crate) limit: TimeoutSpec,
    pub(crate) load: Arc<Load>,
}

fn not_invocable(app: &Name, function: &Name) -> EddyError {
    EddyError::new(
        ErrorCode::NotInvocable,
        format!("the function {function:?} answers HTTP requests, and takes no argument"),
    )
    .hint(format!(
        "Send it a request: /apps/{app}/ on this node; `eddy ls` shows its routes."
    ))
}

fn unknown_agent_type(name: &Name) -> EddyError {
    EddyError::new(
        ErrorCode::UnknownAgentType,
        format!("there is no agent type {name:?}"),
    )
    .hint("`eddy ls` shows what is deployed.")
}

pub(crate) fn unknown_method(agent_type: &Name, method: &MethodName) -> EddyError {
    EddyError::new(
        ErrorCode::UnknownMethod,
        format!("the agent type {agent_type:?} has no method {method:?}"),
    )
    .hint("`eddy ls` shows the methods of each agent type.")
}

pub(crate) fn unknown_app(name: &Name) -> EddyError {
    EddyError::new(ErrorCode::UnknownApp, format!("there is no app {name:?}"))
        .hint("`eddy ls` shows what is deployed.")
}
