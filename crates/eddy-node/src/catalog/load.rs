//! Code becomes ready to run: at start what is stored, at a deploy what was sent.

use super::Owner;
use super::app::{App, Loaded};
use super::files::{Files, Stored};
use super::python::{self, Named};
use crate::facade::{Code as Source, Module};
use crate::inner::Inner;
use crate::turns::guarded;
use crate::{clock, tasks};
use bytes::Bytes;
use eddy_bundle::SourceMaps;
use eddy_types::limits::{MAX_COMPONENTS_PER_APP, MAX_MODULES};
use eddy_types::{
    Component, ComponentKind, Digest, EddyError, Env, ErrorCode, Manifest, MethodSpec, Name,
    TenantId,
};
use eddy_wasm::{CancelReason, CancelToken, Code, Engine, Fault, JsModule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// A part of an app, compiled and described.
pub(crate) struct Prepared {
    pub(super) component: Component,
    pub(super) bytes: Vec<u8>,
    /// What runs it, when that came with the deploy.
    pub(super) runtime: Option<Named>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) definition: eddy_types::Definition,
}

/// Compiles and describes the parts of an app. Nothing is stored or switched yet.
pub(crate) async fn prepare(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    components: &[(Name, Source)],
) -> Result<Vec<Prepared>, EddyError> {
    if components.len() > MAX_COMPONENTS_PER_APP {
        return Err(EddyError::new(
            ErrorCode::InvalidManifest,
            format!("there are more than {MAX_COMPONENTS_PER_APP} components"),
        )
        .hint("Put several functions and agent types into one component, or make two apps."));
    }
    let mut prepared = Vec::with_capacity(components.len());
    // Compiling to machine code runs no guest and takes what it takes: the deadline is not for it.
    let mut left = inner.config.deploy_guest_timeout;
    for (name, source) in components {
        prepared.push(prepare_one(inner, (tenant, name), source, &mut left).await?);
    }
    Ok(prepared)
}

/// Prepares a component, whose code may take what is `left` of the time to start.
async fn prepare_one(
    inner: &Arc<Inner>,
    (tenant, name): (&TenantId, &Name),
    source: &Source,
    left: &mut Duration,
) -> Result<Prepared, EddyError> {
    let engine = &inner.engine;
    let (bytes, kind, code, runtime) = match source {
        Source::Wasm(bytes) => {
            let code = compile_sent(inner, tenant, bytes, Digest::of(bytes)).await?;
            (bytes.to_vec(), ComponentKind::Wasm, code, None)
        }
        Source::Js(modules) => {
            let code = js_runtime(engine).await?;
            (encoded(modules)?, ComponentKind::Js, code, None)
        }
        Source::Python { modules, runtime } => {
            let (code, named) = python::deployed_runtime(inner, tenant, runtime).await?;
            let kind = ComponentKind::Python {
                runtime: named.digest,
            };
            (encoded(modules)?, kind, code, Some(named))
        }
    };
    let cancel = CancelToken::new();
    let asked = async {
        let loaded = match source {
            Source::Wasm(_) => Loaded::native(code),
            Source::Js(modules) => load_js(engine, code, modules, &cancel).await?,
            Source::Python { modules, .. } => python::load(code, modules, &cancel).await?,
        };
        let described = loaded.code.describe(loaded.program.as_ref(), &cancel).await;
        let definition = described.map_err(|error| loaded.remap(error))?;
        Ok((loaded, definition))
    };
    let began = clock::instant();
    let (loaded, definition) = in_time(inner, (tenant, name), *left, &cancel, asked).await?;
    *left = left.saturating_sub(began.elapsed());
    let (name, digest) = (name.clone(), Digest::of(&bytes));
    Ok(Prepared {
        component: Component { name, digest, kind },
        bytes,
        runtime,
        loaded: Arc::new(loaded),
        definition: plain_definition(definition),
    })
}

/// Runs the code of a component that is deployed for as long as is `left`, and not into a stop of the node.
async fn in_time<T>(
    inner: &Arc<Inner>,
    (tenant, name): (&TenantId, &Name),
    left: Duration,
    cancel: &CancelToken,
    work: impl Future<Output = Result<T, EddyError>>,
) -> Result<T, EddyError> {
    let deadline = clock::now().plus(left);
    let work = async { Ok::<_, Fault>(work.await) };
    let mut work = Box::pin(guarded(
        inner,
        tenant,
        Some(deadline),
        pending(),
        cancel,
        work,
    ));
    let ended = tokio::select! {
        biased;
        ended = &mut work => ended,
        // Nothing is lost with a deploy that was not answered: it does not hold the stop up.
        () = inner.closing.cancelled() => {
            cancel.cancel(CancelReason::Abort);
            work.await
        }
    };
    ended?.map_err(|error| match error.code {
        ErrorCode::DeadlineExceeded => too_slow(name, inner.config.deploy_guest_timeout),
        ErrorCode::TurnAborted => inner.not_serving().unwrap_or(error),
        _ => error,
    })
}

fn too_slow(name: &Name, limit: Duration) -> EddyError {
    EddyError::new(
        ErrorCode::DeadlineExceeded,
        format!(
            "deploy: the code of the component {name:?} was still starting when the {limit:?} that all \
             components of an app have were over, so that its functions and agents are not known; \
             nothing was deployed"
        ),
    )
    .hint("Look for an endless loop or long work at the top level of its modules; move it into a handler.")
}

/// Loads a stored app.
pub(super) async fn load_app(
    files: &Files,
    engine: &Engine,
    owner: &Owner<'_>,
    stored: &Stored,
) -> Result<App, EddyError> {
    let spec = &stored.spec;
    let mut components = Vec::with_capacity(spec.components.len());
    for component in &spec.components {
        let loaded = match component.kind {
            ComponentKind::Wasm => Loaded::native(match engine.load_cached(component.digest) {
                Some(code) => code,
                None => compile(engine, files.read_blob(component.digest)?).await?,
            }),
            ComponentKind::Js => {
                let modules = parse_modules(&files.read_blob(component.digest)?)?;
                let code = js_runtime(engine).await?;
                load_js(engine, code, &modules, &CancelToken::new()).await?
            }
            ComponentKind::Python { runtime } => {
                let modules: Vec<_> = parse_modules(&files.read_blob(component.digest)?)?;
                let code = python::stored_runtime(files, engine, runtime).await?;
                python::load(code, &modules, &CancelToken::new()).await?
            }
        };
        components.push(Arc::new(loaded));
    }
    let env = resolve_env(&stored.manifest, owner)?;
    Ok(App::new(
        Arc::new(spec.clone()),
        stored.manifest.clone(),
        env,
        components,
        owner.account.clone(),
    ))
}

pub(super) fn resolve_env(manifest: &Manifest, owner: &Owner<'_>) -> Result<Env, EddyError> {
    manifest.resolve_env(|name| owner.secret(name))
}

impl Loaded {
    fn native(code: Code) -> Self {
        Self {
            code,
            program: None,
            maps: SourceMaps::default(),
        }
    }
}

/// Compiles what a tenant sent, whatever it is to be. How long that takes must not tell that another
/// tenant has it.
pub(super) async fn compile_sent(
    inner: &Inner,
    tenant: &TenantId,
    bytes: &Bytes,
    digest: Digest,
) -> Result<Code, EddyError> {
    let catalog = &inner.catalog;
    let own = || catalog.has_code(tenant, digest) || catalog.has_runtime(tenant, digest);
    match inner.config.simulated_time || own() {
        true => compile(&inner.engine, bytes.to_vec()).await,
        false => compile_anew(&inner.engine, bytes.clone()).await,
    }
}

pub(super) async fn compile(engine: &Engine, bytes: Vec<u8>) -> Result<Code, EddyError> {
    let engine = engine.clone();
    tasks::blocking(move || engine.compile(&bytes)).await?
}

async fn compile_anew(engine: &Engine, bytes: Bytes) -> Result<Code, EddyError> {
    let engine = engine.clone();
    tasks::blocking(move || engine.compile_anew(&bytes)).await?
}

async fn js_runtime(engine: &Engine) -> Result<Code, EddyError> {
    let engine = engine.clone();
    tasks::blocking(move || engine.js_code()).await?
}

async fn load_js(
    engine: &Engine,
    code: Code,
    modules: &[Module],
    cancel: &CancelToken,
) -> Result<Loaded, EddyError> {
    check_names(modules)?;
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
    let compiled = engine.compile_js(&sources, cancel).await;
    let program = compiled.map_err(|mut error| {
        error.detail = maps.remap_stack(&error.detail);
        error
    })?;
    Ok(Loaded {
        code,
        program: Some(program),
        maps,
    })
}

/// Few enough modules, with names that an import can mean one thing by.
fn check_names(modules: &[Module]) -> Result<(), EddyError> {
    if modules.len() > MAX_MODULES {
        return Err(EddyError::new(
            ErrorCode::InvalidSource,
            format!("a component has more than {MAX_MODULES} modules"),
        )
        .hint("Bundle some of them into one."));
    }
    let mut seen = BTreeSet::new();
    for Module { name, .. } in modules {
        let reserved = name.is_empty() || name == "eddy" || name.starts_with("eddy:");
        if reserved || !seen.insert(name) {
            let why = if reserved {
                "is reserved"
            } else {
                "stands there twice"
            };
            return Err(EddyError::new(
                ErrorCode::InvalidSource,
                format!("the module name {name:?} {why}"),
            )
            .hint("Name each module by its path, such as src/cart.ts."));
        }
    }
    Ok(())
}

fn encoded<M: Serialize>(modules: &[M]) -> Result<Vec<u8>, EddyError> {
    serde_json::to_vec(modules)
        .map_err(|error| EddyError::internal(format!("a bundle does not encode: {error}")))
}

fn parse_modules<M: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<M>, EddyError> {
    serde_json::from_slice(bytes).map_err(|error| {
        EddyError::new(
            ErrorCode::StoreFailed,
            format!("a stored bundle cannot be read: {error}"),
        )
        .hint("Deploy the app again.")
    })
}

fn plain_definition(definition: eddy_wasm::Definition) -> eddy_types::Definition {
    let agents = definition.agents.into_iter().map(|agent| {
        let methods = agent.methods.into_iter();
        let methods = methods.map(|method| {
            let read_only = method.read_only;
            (method.name, MethodSpec { read_only })
        });
        (agent.name, methods.collect())
    });
    eddy_types::Definition {
        functions: definition.functions,
        agents: agents.collect(),
        http: definition.http,
    }
}
