//! Changes of the catalog, one at a time: install, remove, and taking away what nothing needs.

use super::app::App;
use super::files::{Stored, read_app};
use super::load::{Prepared, resolve_env};
use super::python::{Named, unknown_runtime};
use super::{Catalog, Owner, blobs, unknown_app};
use eddy_types::limits::MAX_APPS_PER_TENANT;
use eddy_types::{AppSpec, Component, Digest, EddyError, ErrorCode, Manifest, Name, TenantId};
use eddy_wasm::Engine;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What of a stored app names files.
#[derive(Deserialize)]
struct Naming {
    spec: NamingSpec,
}

#[derive(Deserialize)]
struct NamingSpec {
    components: Vec<Component>,
}

impl Catalog {
    /// Stores an app and switches to it. Answers with the present one when nothing has changed.
    /// Blocks.
    pub(crate) fn install(
        &self,
        owner: &Owner<'_>,
        manifest: Manifest,
        prepared: Vec<Prepared>,
    ) -> Result<Arc<AppSpec>, EddyError> {
        let tenant = &owner.account.tenant;
        // From the version that is read to the switch to the next one, nobody else changes anything.
        let _changing = self.changing.lock();
        let present = self.app(tenant, &manifest.name);
        let mut spec = resolve(&manifest, &prepared)?;
        if present.is_none() && self.apps(tenant).len() >= MAX_APPS_PER_TENANT {
            return Err(EddyError::new(
                ErrorCode::LimitExceeded,
                format!("a tenant may have {MAX_APPS_PER_TENANT} apps"),
            )
            .hint("Delete those that are not needed: `DELETE /v1/apps/NAME`."));
        }
        spec.version = present.as_ref().map_or(0, |present| present.spec.version);
        let unchanged = present.filter(|app| *app.spec == spec && app.manifest == manifest);
        if unchanged.is_none() {
            spec.version += 1;
        }
        self.check_free(tenant, &spec)?;
        let hosts = spec.capabilities.hosts.iter();
        owner.account.grant().check(hosts.map(String::as_str))?;
        let env = resolve_env(&manifest, owner)?;
        let known = |part: &&Prepared| self.has_code(tenant, part.component.digest);
        let stored = Stored { spec, manifest };
        let text = stored.encoded()?;
        let name = stored.spec.name.clone();
        let new = prepared.iter().filter(|part| !known(part));
        let code: u64 = new.map(|part| part.bytes.len() as u64).sum();
        let longer = (text.len() as u64).saturating_sub(self.files.app_size(tenant, &name));
        owner.account.may_store_bytes(code + longer)?;
        // Also of an app that has not changed: files that are as they should be are not written. Unless
        // they are new to the tenant: it would tell that another one has them.
        for part in &prepared {
            let digest = part.component.digest;
            self.files.write_blob(digest, &part.bytes, known(&part))?;
            if let Some(runtime) = &part.runtime {
                self.keep_runtime(tenant, runtime)?;
            }
        }
        let written = self.files.write_app(tenant, &name, &text);
        written.inspect_err(|_| self.differs.store(true, Relaxed))?;
        if let Some(present) = unchanged.filter(|present| present.available().is_ok()) {
            return Ok(present.spec.clone());
        }
        let components = prepared.into_iter().map(|part| part.loaded).collect();
        let spec = Arc::new(stored.spec);
        let app = App::new(
            spec.clone(),
            stored.manifest,
            env,
            components,
            owner.account.clone(),
        );
        self.switch(tenant, app);
        Ok(spec)
    }

    /// Stores a runtime, as components are stored. One that was there when the deploy began may be gone
    /// with the last app that had it.
    fn keep_runtime(&self, tenant: &TenantId, runtime: &Named) -> Result<(), EddyError> {
        let digest = runtime.digest;
        match &runtime.bytes {
            Some(bytes) => {
                let known = self.has_runtime(tenant, digest);
                self.files.write_blob(digest, bytes, known)
            }
            None if self.files.has_blob(digest) => Ok(()),
            None => Err(unknown_runtime(digest)),
        }
    }

    /// Takes an app away, with or without code. Blocks.
    pub(crate) fn remove(&self, tenant: &TenantId, name: &Name) -> Result<(), EddyError> {
        let _changing = self.changing.lock();
        if self.app(tenant, name).is_none() {
            return Err(self.suggest_app(tenant, name, unknown_app(name)));
        }
        self.files.remove_app(tenant, name)?;
        let mut tenants = self.tenants.write();
        if let Some(found) = tenants.get_mut(tenant) {
            let old = found.apps.remove(name);
            found.index();
            if let Some(old) = old {
                old.replace();
            }
        }
        Ok(())
    }

    /// Removes the files that no app needs any more. A failure is told in the log only: the next
    /// change tries again. Blocks.
    pub(crate) fn sweep(&self, engine: &Engine) {
        let _changing = self.changing.lock();
        let swept = self.kept().and_then(|kept| self.files.sweep(&kept));
        match swept {
            // Only what is gone: a deploy that is being compiled keeps what it has just cached.
            Ok(gone) => engine.sweep_cache(|digest| !gone.contains(&digest)),
            Err(error) => tracing::warn!(%error, "unused files could not be removed"),
        }
    }

    /// As [`Self::sweep`], and removes compiled code that no app names. While nothing is deployed.
    pub(super) fn sweep_at_start(&self, engine: &Engine) {
        self.sweep(engine);
        match self.kept() {
            Ok(kept) => engine.sweep_cache(|digest| kept.contains(&digest)),
            Err(error) => tracing::warn!(%error, "unused files could not be removed"),
        }
    }

    /// What some app names, served or stored: after a write that failed half-way these may differ.
    fn kept(&self) -> Result<BTreeSet<Digest>, EddyError> {
        let served = self.every_app();
        let components = served.iter().flat_map(|app| &app.spec.components);
        let mut kept: BTreeSet<_> = components.flat_map(blobs).collect();
        if self.differs.load(Relaxed) {
            // One file after the other: tenants may have many.
            for (_, path) in self.files.apps()? {
                let stored: Naming = read_app(&path)?;
                kept.extend(stored.spec.components.iter().flat_map(blobs));
            }
        }
        Ok(kept)
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
}

/// What the manifest and the code come to; its version is set later.
fn resolve(manifest: &Manifest, prepared: &[Prepared]) -> Result<AppSpec, EddyError> {
    let definitions: Vec<_> = prepared
        .iter()
        .map(|part| part.definition.clone())
        .collect();
    let parts = prepared.iter().map(|part| part.component.clone()).collect();
    manifest.resolve(parts, &definitions, 0)
}
