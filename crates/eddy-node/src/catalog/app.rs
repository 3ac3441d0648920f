//! One version of an app as the node holds it: with its code, or with the reason why there is none.

use crate::access::Account;
use crate::fetch::{Reach, Redirects};
use crate::functions::Admission;
use crate::load::Load;
use crate::spares::Spares;
use eddy_bundle::SourceMaps;
use eddy_types::{
    AgentId, AgentSpec, AppSpec, EddyError, Env, ErrorCode, FunctionSpec, HashMap, Key, Manifest,
    MethodName, Name, TenantId, TenantSpec,
};
use eddy_wasm::{Code, InstanceLimits, Program};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a client waits for an app that has no code: somebody has to act first.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(5);

/// Code that is ready to run.
pub(crate) struct Loaded {
    pub(crate) code: Code,
    pub(crate) program: Option<Program>,
    pub(crate) maps: SourceMaps,
}

impl Loaded {
    /// Names the user's own lines in an error of this code.
    pub(crate) fn remap(&self, mut error: EddyError) -> EddyError {
        if let Some(guest) = &mut error.guest
            && let Some(stack) = &guest.stack
        {
            guest.stack = Some(self.maps.remap_stack(stack));
        }
        if error.code == ErrorCode::InvalidSource {
            error.detail = self.maps.remap_stack(&error.detail);
        }
        error
    }
}

/// A client, and the grant that it was made with.
type Granted = (Arc<TenantSpec>, reqwest::Client);

/// One version of an app.
pub(crate) struct App {
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) env: Arc<Env>,
    pub(super) manifest: Manifest,
    components: Vec<Arc<Loaded>>,
    /// Why it has no code. It keeps its names and its version all the same.
    trouble: Option<EddyError>,
    admissions: HashMap<Name, Admission>,
    /// How busy its agent types are.
    loads: HashMap<Name, Arc<Load>>,
    /// The tenant it belongs to.
    pub(crate) account: Arc<Account>,
    /// Where its `fetch` may go.
    pub(crate) reach: Reach,
    clients: [Mutex<Option<Granted>>; 2],
    /// The functions that answer HTTP, by where their paths begin; the longest first.
    routes: Vec<(String, Name)>,
    /// Raised when another version has taken its place, or none.
    pub(crate) replaced: CancellationToken,
    /// Its instances made ahead.
    pub(crate) spares: Spares,
}

impl App {
    pub(super) fn new(
        spec: Arc<AppSpec>,
        manifest: Manifest,
        env: Env,
        components: Vec<Arc<Loaded>>,
        account: Arc<Account>,
    ) -> Self {
        let admission = |(name, function): (&Name, &FunctionSpec)| {
            (name.clone(), Admission::new(function.concurrency))
        };
        let admissions = spec.functions.iter().map(admission).collect();
        let idle = |name: &Name| (name.clone(), Arc::default());
        let loads = spec.agents.keys().map(idle).collect();
        let routes = routes_of(&spec);
        let reach = Reach::new(spec.capabilities.clone(), account.clone());
        Self {
            spec,
            env: Arc::new(env),
            manifest,
            components,
            trouble: None,
            admissions,
            loads,
            account,
            reach,
            clients: Default::default(),
            routes,
            replaced: CancellationToken::new(),
            spares: Spares::default(),
        }
    }

    /// An app that does not load.
    pub(super) fn without_code(
        spec: Arc<AppSpec>,
        manifest: Manifest,
        trouble: EddyError,
        account: Arc<Account>,
    ) -> Self {
        Self {
            trouble: Some(trouble),
            ..Self::new(spec, manifest, Env::new(), Vec::new(), account)
        }
    }

    /// Another version takes its place, or none.
    pub(super) fn replace(&self) {
        self.replaced.cancel();
        self.spares.close();
    }

    /// Refuses when it has no code.
    pub(crate) fn available(&self) -> Result<(), EddyError> {
        let Some(trouble) = &self.trouble else {
            return Ok(());
        };
        let detail = format!(
            "the app {:?} could not be loaded: {}: {}",
            self.spec.name, trouble.code, trouble.detail
        );
        let hint = trouble.hint.as_deref().unwrap_or("Deploy the app again.");
        Err(EddyError::new(ErrorCode::AppUnavailable, detail)
            .hint(hint)
            .retry_after(RETRY_UNAVAILABLE))
    }

    pub(crate) fn admission(&self, function: &Name) -> Result<&Admission, EddyError> {
        let found = self.admissions.get(function);
        found.ok_or_else(|| EddyError::internal("a function lost its admission"))
    }

    /// The app's own clients for outbound requests, made at first use, and again when the tenant grants
    /// something else: open connections go where the one before could go.
    pub(crate) fn client(&self, redirects: Redirects) -> Result<reqwest::Client, EddyError> {
        let spec = self.account.spec();
        let mut kept = self.clients[redirects as usize].lock();
        if let Some((of, client)) = &*kept
            && Arc::ptr_eq(of, &spec)
        {
            return Ok(client.clone());
        }
        let client = crate::fetch::client(&self.reach, redirects)?;
        *kept = Some((spec, client.clone()));
        Ok(client)
    }

    /// What an instance of it may use, with so many bytes of memory.
    pub(crate) fn instance_limits(&self, memory: usize) -> InstanceLimits {
        InstanceLimits {
            memory,
            env: Some(self.env.clone()),
            account: Some(self.account.memory.clone()),
        }
    }

    pub(crate) fn agent_load(&self, agent_type: &Name) -> Option<&Arc<Load>> {
        self.loads.get(agent_type)
    }

    pub(crate) fn function(&self, name: &Name) -> Option<(&FunctionSpec, &Arc<Loaded>)> {
        let spec = self.spec.functions.get(name)?;
        Some((spec, self.components.get(spec.component)?))
    }

    /// The function that answers requests for `path`, which begins with `/`.
    pub(crate) fn route(&self, path: &str) -> Result<&Name, EddyError> {
        let serves = |prefix: &str| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self.routes.iter().find(|(prefix, _)| serves(prefix));
        found.map(|(_, name)| name).ok_or_else(|| {
            let app = &self.spec.name;
            let (why, hint) = match self.routes.is_empty() {
                true => (
                    format!("the app {app:?} answers no HTTP requests"),
                    "Its functions and agents are under /v1/functions and /v1/agents; `eddy ls` shows them.",
                ),
                false => (
                    format!("no route of the app {app:?} has the path {path}"),
                    "`eddy ls` shows its routes; [routes] in eddy.toml has them.",
                ),
            };
            EddyError::new(ErrorCode::UnknownRoute, why).hint(hint)
        })
    }

    /// The address of an agent whose type is given as text: names of this app are not made anew.
    pub(crate) fn address(
        &self,
        tenant: &TenantId,
        agent_type: &str,
        key: &str,
    ) -> Result<AgentId, EddyError> {
        let name = match self.spec.agents.get_key_value(agent_type) {
            Some((name, _)) => name.clone(),
            None => Name::new(agent_type)?,
        };
        Ok(AgentId::new(tenant.clone(), name, Key::new(key)?))
    }

    /// A method of one of its agent types, given as text.
    pub(crate) fn method(&self, agent_type: &Name, method: &str) -> Result<MethodName, EddyError> {
        let spec = self.spec.agents.get(agent_type);
        match spec.and_then(|spec| spec.methods.get_key_value(method)) {
            Some((method, _)) => Ok(method.clone()),
            None => MethodName::new(method),
        }
    }

    pub(crate) fn agent(&self, name: &Name) -> Option<(&AgentSpec, &Arc<Loaded>)> {
        let spec = self.spec.agents.get(name)?;
        Some((spec, self.components.get(spec.component)?))
    }
}

fn routes_of(spec: &AppSpec) -> Vec<(String, Name)> {
    let all = spec.functions.iter().flat_map(|(name, function)| {
        let routes = function.routes.iter();
        routes.map(move |prefix| (prefix.clone(), name.clone()))
    });
    let mut routes: Vec<_> = all.collect();
    routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    routes
}
