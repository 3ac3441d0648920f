//! Python apps: their runtime, which a deploy brings along unless the node has it, and their modules.

use super::Catalog;
use super::app::Loaded;
use super::files::Files;
use super::load::{compile, compile_sent};
use crate::facade::{PythonModule, Runtime};
use crate::inner::Inner;
use bytes::Bytes;
use eddy_bundle::SourceMaps;
use eddy_types::limits::MAX_MODULES;
use eddy_types::{ComponentKind, Digest, EddyError, ErrorCode, TenantId};
use eddy_wasm::{CancelToken, Code, Engine};
use std::collections::BTreeSet;

/// A runtime that a deploy names, with its bytes when they came along.
pub(crate) struct Named {
    pub(super) digest: Digest,
    pub(super) bytes: Option<Bytes>,
}

impl Catalog {
    /// Whether an app of this tenant has the runtime. What other tenants have is not told.
    pub(super) fn has_runtime(&self, tenant: &TenantId, digest: Digest) -> bool {
        let wanted = ComponentKind::Python { runtime: digest };
        let apps = self.apps(tenant);
        let mut components = apps.iter().flat_map(|app| &app.spec.components);
        components.any(|component| component.kind == wanted) && self.files.has_blob(digest)
    }
}

/// The code of the runtime that a deploy names.
pub(super) async fn deployed_runtime(
    inner: &Inner,
    tenant: &TenantId,
    runtime: &Runtime,
) -> Result<(Code, Named), EddyError> {
    let digest = runtime.digest;
    let named = Named {
        digest,
        bytes: runtime.bytes.clone(),
    };
    let code = match &runtime.bytes {
        Some(bytes) => {
            let found = Digest::of(bytes);
            if found != digest {
                let detail = format!("the Python runtime has the digest {found}, not {digest}");
                return Err(EddyError::new(ErrorCode::InvalidArgument, detail)
                    .hint("Send the bytes that the digest is of."));
            }
            compile_sent(inner, tenant, bytes, digest).await?
        }
        None if inner.catalog.has_runtime(tenant, digest) => {
            stored_runtime(&inner.catalog.files, &inner.engine, digest).await?
        }
        None => return Err(unknown_runtime(digest)),
    };
    Ok((code, named))
}

/// The code of a runtime that is stored.
pub(super) async fn stored_runtime(
    files: &Files,
    engine: &Engine,
    digest: Digest,
) -> Result<Code, EddyError> {
    match engine.load_cached(digest) {
        Some(code) => Ok(code),
        None => compile(engine, files.read_blob(digest)?).await,
    }
}

/// The error of a deploy that names a runtime without its bytes.
pub(super) fn unknown_runtime(digest: Digest) -> EddyError {
    EddyError::new(
        ErrorCode::UnknownRuntime,
        format!("this node does not have the Python runtime {digest}"),
    )
    .hint("Send its bytes with the deploy; `eddy deploy` does so by itself.")
}

/// A program of these modules.
pub(super) async fn load(
    code: Code,
    modules: &[PythonModule],
    cancel: &CancelToken,
) -> Result<Loaded, EddyError> {
    check_names(modules)?;
    let modules: Vec<_> = modules
        .iter()
        .map(|module| eddy_wasm::PythonModule {
            name: module.name.clone(),
            path: module.path.clone(),
            source: module.source.clone(),
        })
        .collect();
    let program = code.compile_python(&modules, cancel).await?;
    Ok(Loaded {
        code,
        program: Some(program),
        maps: SourceMaps::default(),
    })
}

fn check_names(modules: &[PythonModule]) -> Result<(), EddyError> {
    let mut seen = BTreeSet::new();
    let twice = modules.iter().find(|module| !seen.insert(&module.name));
    if modules.len() > MAX_MODULES {
        let detail = format!("a component has more than {MAX_MODULES} modules");
        return Err(EddyError::new(ErrorCode::InvalidSource, detail)
            .hint("Leave out what the code does not import."));
    }
    let why = match (modules.is_empty(), twice) {
        (true, _) => "a Python component has no module".to_owned(),
        (_, Some(module)) => format!("the module {:?} stands there twice", module.name),
        _ => return Ok(()),
    };
    Err(EddyError::new(ErrorCode::InvalidSource, why)
        .hint("Name each module once, as it is imported; the entry is the first."))
}
