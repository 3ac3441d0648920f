//! One version of an app as the node holds it: with its code, or with the reason why there is none.

use crate::access::Account;
use crate::fetch::Reach;
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
    client: Mutex<Option<(Arc<TenantSpec>, reqwest::Client)>>,
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
            client: Mutex::new(None),
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

    /// The app's own client for outbound requests, made at first use, and again when the tenant grants
    /// something else: open connections go where the one before could go.
    pub(crate) fn client(&self) -> Result<reqwest::Client, EddyError> {
        let spec = self.account.spec();
        let mut kept = self.client.lock();
        if let Some((of, client)) = &*kept
            && Arc::ptr_eq(of, &spec)
        {
            return Ok(client.clone());
        }
        let client = crate::fetch::client(&self.reach)?;
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
