//! What is deployed: apps with their loaded code, found by function and by agent type. Kept as one
//! JSON file an app and one file a component, each written atomically.

use crate::data_dir::{DataDir, failed, write_atomically};
use crate::facade::{Code as Source, Module};
use crate::functions::Admission;
use eddy_bundle::SourceMaps;
use eddy_types::{
    AgentId, AgentSpec, AppSpec, ComponentKind, Digest, EddyError, Env, ErrorCode, FunctionId,
    FunctionSpec, Manifest, MethodName, MethodSpec, Name, TenantId,
};
use eddy_wasm::{CancelToken, Code, Engine, JsModule, JsProgram};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Code that is ready to run.
pub(crate) struct Loaded {
    pub(crate) code: Code,
    pub(crate) program: Option<JsProgram>,
    pub(crate) maps: SourceMaps,
}

/// One version of an app, loaded.
pub(crate) struct App {
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) env: Arc<Env>,
    pub(crate) components: Vec<Arc<Loaded>>,
    admissions: HashMap<Name, Admission>,
    client: OnceLock<reqwest::Client>,
}

impl App {
    fn new(spec: Arc<AppSpec>, env: Env, components: Vec<Arc<Loaded>>) -> Self {
        let admission = |(name, function): (&Name, &FunctionSpec)| {
            (name.clone(), Admission::new(function.concurrency))
        };
        let admissions = spec.functions.iter().map(admission).collect();
        Self {
            spec,
            env: Arc::new(env),
            components,
            admissions,
            client: OnceLock::new(),
        }
    }

    pub(crate) fn admission(&self, function: &Name) -> Result<&Admission, EddyError> {
        let found = self.admissions.get(function);
        found.ok_or_else(|| EddyError::internal("a function lost its admission"))
    }

    /// The app's own client for outbound requests, made at first use.
    pub(crate) fn client(&self) -> Result<&reqwest::Client, EddyError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = crate::fetch::client(&self.spec.capabilities)?;
        Ok(self.client.get_or_init(|| client))
    }

    pub(crate) fn function(&self, name: &Name) -> Option<(&FunctionSpec, &Arc<Loaded>)> {
        let spec = self.spec.functions.get(name)?;
        Some((spec, self.components.get(spec.component)?))
    }

    pub(crate) fn agent(&self, name: &Name) -> Option<(&AgentSpec, &Arc<Loaded>)> {
        let spec = self.spec.agents.get(name)?;
        Some((spec, self.components.get(spec.component)?))
    }
}

/// What is written to disk of an app.
#[derive(Serialize, Deserialize)]
struct Stored {
    spec: AppSpec,
    manifest: Manifest,
}

#[derive(Default)]
struct Tenant {
    apps: BTreeMap<Name, Arc<App>>,
    manifests: BTreeMap<Name, Manifest>,
    functions: HashMap<Name, Arc<App>>,
    agents: HashMap<Name, Arc<App>>,
}

/// Everything that is deployed.
pub(crate) struct Catalog {
    dir: Arc<DataDir>,
    tenants: RwLock<HashMap<TenantId, Tenant>>,
}

impl Catalog {
    pub(crate) fn new(dir: Arc<DataDir>) -> Self {
        Self {
            dir,
            tenants: RwLock::default(),
        }
    }

    /// Loads every app that was deployed. An app that no longer loads is told in the log and left
    /// out; the others are served.
    pub(crate) async fn load(
        &self,
        engine: &Engine,
        secrets: &BTreeMap<String, String>,
    ) -> Result<(), EddyError> {
        for (tenant, stored) in self.stored()? {
            let name = stored.spec.name.clone();
            let loaded = self
                .load_app(engine, secrets, stored.spec, &stored.manifest)
                .await;
            match loaded {
                Ok(app) => self.switch(&tenant, app, stored.manifest),
                Err(error) => tracing::error!(%tenant, app = %name, %error, "an app does not load"),
            }
        }
        Ok(())
    }

    fn stored(&self) -> Result<Vec<(TenantId, Stored)>, EddyError> {
        let root = self.dir.join("apps");
        let mut found = Vec::new();
        let io = |error: std::io::Error| failed(&root, "cannot be read", &error);
        for folder in fs::read_dir(&root).map_err(io)? {
            let folder = folder.map_err(io)?;
            let Ok(tenant) = TenantId::new(&folder.file_name().to_string_lossy()) else {
                continue;
            };
            for file in fs::read_dir(folder.path()).map_err(io)? {
                let path = file.map_err(io)?.path();
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                let text =
                    fs::read(&path).map_err(|error| failed(&path, "cannot be read", &error))?;
                let stored = serde_json::from_slice(&text).map_err(|error| {
                    EddyError::new(ErrorCode::IncompatibleData, format!("{}: {error}", path.display()))
                        .hint("Start the version of Eddy that wrote it, or delete the file and deploy again.")
                })?;
                found.push((tenant.clone(), stored));
            }
        }
        Ok(found)
    }

    async fn load_app(
        &self,
        engine: &Engine,
        secrets: &BTreeMap<String, String>,
        spec: AppSpec,
        manifest: &Manifest,
    ) -> Result<App, EddyError> {
        let mut components = Vec::with_capacity(spec.components.len());
        for component in &spec.components {
            let loaded = match component.kind {
                ComponentKind::Wasm => match engine.load_cached(component.digest) {
                    Some(code) => Loaded {
                        code,
                        program: None,
                        maps: SourceMaps::default(),
                    },
                    None => load_wasm(engine, self.read_blob(component.digest)?).await?,
                },
                ComponentKind::Js => {
                    let modules = parse_modules(&self.read_blob(component.digest)?)?;
                    load_js(engine, &modules).await?
                }
            };
            components.push(Arc::new(loaded));
        }
        let env = resolve_env(manifest, secrets)?;
        Ok(App::new(Arc::new(spec), env, components))
    }

    /// Compiles and describes the parts of an app. Nothing is stored or switched yet.
    pub(crate) async fn prepare(
        &self,
        engine: &Engine,
        components: &[(Name, Source)],
    ) -> Result<Vec<Prepared>, EddyError> {
        let mut prepared = Vec::with_capacity(components.len());
        for (name, source) in components {
            let (bytes, kind, loaded) = match source {
                Source::Wasm(bytes) => (
                    bytes.to_vec(),
                    ComponentKind::Wasm,
                    load_wasm(engine, bytes.to_vec()).await?,
                ),
                Source::Js(modules) => {
                    let bytes = serde_json::to_vec(modules).map_err(|error| {
                        EddyError::internal(format!("a bundle does not encode: {error}"))
                    })?;
                    (bytes, ComponentKind::Js, load_js(engine, modules).await?)
                }
            };
            let definition = loaded
                .code
                .describe(loaded.program.as_ref(), &CancelToken::new())
                .await
                .map_err(|error| loaded.remap(error))?;
            let definition = plain_definition(definition);
            let digest = Digest::of(&bytes);
            let component = eddy_types::Component {
                name: name.clone(),
                digest,
                kind,
            };
            prepared.push(Prepared {
                component,
                bytes,
                loaded: Arc::new(loaded),
                definition,
            });
        }
        Ok(prepared)
    }

    /// Stores an app and switches to it. Answers with the present one when nothing has changed.
    pub(crate) fn install(
        &self,
        tenant: &TenantId,
        manifest: Manifest,
        prepared: Vec<Prepared>,
        secrets: &BTreeMap<String, String>,
    ) -> Result<Arc<AppSpec>, EddyError> {
        let present = self.app(tenant, &manifest.name);
        let version = present.as_ref().map_or(1, |app| app.spec.version + 1);
        let definitions: Vec<_> = prepared
            .iter()
            .map(|part| part.definition.clone())
            .collect();
        let parts = prepared.iter().map(|part| part.component.clone()).collect();
        let spec = manifest.resolve(parts, &definitions, version)?;
        if let Some(present) = present
            && (AppSpec {
                version: present.spec.version,
                ..spec.clone()
            }) == *present.spec
            && self.manifest(tenant, &spec.name).as_ref() == Some(&manifest)
        {
            return Ok(present.spec.clone());
        }
        self.check_free(tenant, &spec)?;
        let env = resolve_env(&manifest, secrets)?;
        for part in &prepared {
            self.write_blob(part.component.digest, &part.bytes)?;
        }
        self.write_app(
            tenant,
            &Stored {
                spec: spec.clone(),
                manifest: manifest.clone(),
            },
        )?;
        let components = prepared.into_iter().map(|part| part.loaded).collect();
        let spec = Arc::new(spec);
        self.switch(tenant, App::new(spec.clone(), env, components), manifest);
        Ok(spec)
    }

    pub(crate) fn remove(&self, tenant: &TenantId, name: &Name) -> Result<(), EddyError> {
        if self.app(tenant, name).is_none() {
            return Err(unknown_app(name));
        }
        let path = self.app_path(tenant, name);
        fs::remove_file(&path).map_err(|error| failed(&path, "cannot be removed", &error))?;
        let mut tenants = self.tenants.write();
        if let Some(found) = tenants.get_mut(tenant) {
            found.apps.remove(name);
            found.manifests.remove(name);
            found.index();
        }
        Ok(())
    }

    pub(crate) fn apps(&self, tenant: &TenantId) -> Vec<Arc<App>> {
        let tenants = self.tenants.read();
        tenants
            .get(tenant)
            .map(|found| found.apps.values().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn app(&self, tenant: &TenantId, name: &Name) -> Option<Arc<App>> {
        self.tenants.read().get(tenant)?.apps.get(name).cloned()
    }

    fn manifest(&self, tenant: &TenantId, name: &Name) -> Option<Manifest> {
        self.tenants
            .read()
            .get(tenant)?
            .manifests
            .get(name)
            .cloned()
    }

    pub(crate) fn function(&self, function: &FunctionId) -> Result<Arc<App>, EddyError> {
        let tenants = self.tenants.read();
        let found = tenants
            .get(&function.tenant)
            .and_then(|t| t.functions.get(&function.name));
        found.cloned().ok_or_else(|| {
            EddyError::new(
                ErrorCode::UnknownFunction,
                format!("there is no function {:?}", function.name),
            )
            .hint("`eddy ls` shows what is deployed.")
        })
    }

    pub(crate) fn agent_type(&self, tenant: &TenantId, name: &Name) -> Result<Arc<App>, EddyError> {
        let tenants = self.tenants.read();
        let found = tenants.get(tenant).and_then(|t| t.agents.get(name));
        found.cloned().ok_or_else(|| {
            EddyError::new(
                ErrorCode::UnknownAgentType,
                format!("there is no agent type {name:?}"),
            )
            .hint("`eddy ls` shows what is deployed.")
        })
    }

    /// A method of an agent, as its component describes it.
    pub(crate) fn method(
        &self,
        agent: &AgentId,
        method: &MethodName,
    ) -> Result<MethodSpec, EddyError> {
        let app = self.agent_type(agent.tenant(), agent.agent_type())?;
        let spec = app.spec.agents.get(agent.agent_type());
        spec.and_then(|spec| spec.methods.get(method))
            .copied()
            .ok_or_else(|| {
                EddyError::new(
                    ErrorCode::UnknownMethod,
                    format!(
                        "the agent type {:?} has no method {method:?}",
                        agent.agent_type()
                    ),
                )
                .hint("`eddy ls` shows the methods of each agent type.")
            })
    }

    fn check_free(&self, tenant: &TenantId, spec: &AppSpec) -> Result<(), EddyError> {
        let tenants = self.tenants.read();
        let Some(found) = tenants.get(tenant) else {
            return Ok(());
        };
        let functions = spec
            .functions
            .keys()
            .map(|name| ("function", name, found.functions.get(name)));
        let agents = spec
            .agents
            .keys()
            .map(|name| ("agent type", name, found.agents.get(name)));
        for (what, name, owner) in functions.chain(agents) {
            if let Some(owner) = owner
                && owner.spec.name != spec.name
            {
                return Err(EddyError::new(
                    ErrorCode::NameTaken,
                    format!(
                        "the {what} {name:?} belongs to the app {:?} already",
                        owner.spec.name
                    ),
                )
                .hint("Rename it, or delete the other app first."));
            }
        }
        Ok(())
    }

    fn switch(&self, tenant: &TenantId, app: App, manifest: Manifest) {
        let mut tenants = self.tenants.write();
        let found = tenants.entry(tenant.clone()).or_default();
        found.manifests.insert(app.spec.name.clone(), manifest);
        found.apps.insert(app.spec.name.clone(), Arc::new(app));
        found.index();
    }

    fn app_path(&self, tenant: &TenantId, name: &Name) -> PathBuf {
        self.dir
            .join("apps")
            .join(tenant.as_str())
            .join(format!("{name}.json"))
    }

    fn write_app(&self, tenant: &TenantId, stored: &Stored) -> Result<(), EddyError> {
        let path = self.app_path(tenant, &stored.spec.name);
        let text = serde_json::to_vec_pretty(stored)
            .map_err(|error| EddyError::internal(format!("an app does not encode: {error}")))?;
        let folder = self.dir.join("apps").join(tenant.as_str());
        fs::create_dir_all(&folder)
            .and_then(|()| write_atomically(&path, &text, 0o644))
            .map_err(|error| failed(&path, "cannot be written", &error))
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("components").join(digest.to_string())
    }

    fn write_blob(&self, digest: Digest, bytes: &[u8]) -> Result<(), EddyError> {
        let path = self.blob_path(digest);
        if path.exists() {
            return Ok(());
        }
        write_atomically(&path, bytes, 0o644)
            .map_err(|error| failed(&path, "cannot be written", &error))
    }

    fn read_blob(&self, digest: Digest) -> Result<Vec<u8>, EddyError> {
        let path = self.blob_path(digest);
        let bytes = fs::read(&path).map_err(|error| failed(&path, "cannot be read", &error))?;
        if Digest::of(&bytes) != digest {
            return Err(EddyError::new(
                ErrorCode::StoreFailed,
                format!(
                    "{} is damaged: its bytes do not have its digest",
                    path.display()
                ),
            )
            .hint("Deploy the app again."));
        }
        Ok(bytes)
    }
}

impl Tenant {
    fn index(&mut self) {
        self.functions.clear();
        self.agents.clear();
        for app in self.apps.values() {
            self.functions.extend(
                app.spec
                    .functions
                    .keys()
                    .map(|name| (name.clone(), app.clone())),
            );
            self.agents.extend(
                app.spec
                    .agents
                    .keys()
                    .map(|name| (name.clone(), app.clone())),
            );
        }
    }
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

/// A part of an app, compiled and described.
pub(crate) struct Prepared {
    component: eddy_types::Component,
    bytes: Vec<u8>,
    loaded: Arc<Loaded>,
    definition: eddy_types::Definition,
}

fn plain_definition(definition: eddy_wasm::Definition) -> eddy_types::Definition {
    let agents = definition.agents.into_iter().map(|agent| {
        let methods = agent.methods.into_iter();
        let methods = methods
            .map(|m| {
                (
                    m.name,
                    MethodSpec {
                        read_only: m.read_only,
                    },
                )
            })
            .collect();
        (agent.name, methods)
    });
    eddy_types::Definition {
        functions: definition.functions,
        agents: agents.collect(),
    }
}

async fn load_wasm(engine: &Engine, bytes: Vec<u8>) -> Result<Loaded, EddyError> {
    let engine = engine.clone();
    let code = crate::tasks::blocking(move || engine.compile(&bytes)).await??;
    Ok(Loaded {
        code,
        program: None,
        maps: SourceMaps::default(),
    })
}

async fn load_js(engine: &Engine, modules: &[Module]) -> Result<Loaded, EddyError> {
    let runtime = engine.clone();
    let code = crate::tasks::blocking(move || runtime.js_code()).await??;
    let sources: Vec<JsModule> = modules
        .iter()
        .map(|module| JsModule {
            name: module.name.clone(),
            source: module.source.clone(),
        })
        .collect();
    let maps = modules
        .iter()
        .filter_map(|m| Some((m.name.clone(), m.source_map.clone()?)));
    let maps = SourceMaps::new(maps);
    let program = engine
        .compile_js(&sources, &CancelToken::new())
        .await
        .map_err(|mut error| {
            error.detail = maps.remap_stack(&error.detail);
            error
        })?;
    Ok(Loaded {
        code,
        program: Some(program),
        maps,
    })
}

fn parse_modules(bytes: &[u8]) -> Result<Vec<Module>, EddyError> {
    serde_json::from_slice(bytes).map_err(|error| {
        EddyError::new(
            ErrorCode::StoreFailed,
            format!("a stored bundle cannot be read: {error}"),
        )
        .hint("Deploy the app again.")
    })
}

fn resolve_env(manifest: &Manifest, secrets: &BTreeMap<String, String>) -> Result<Env, EddyError> {
    manifest.resolve_env(|name| secrets.get(name).cloned())
}

pub(crate) fn unknown_app(name: &Name) -> EddyError {
    EddyError::new(ErrorCode::UnknownApp, format!("there is no app {name:?}"))
        .hint("`eddy ls` shows what is deployed.")
}
