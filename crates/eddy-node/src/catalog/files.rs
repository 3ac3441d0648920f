//! What the catalog keeps on disk: one JSON file an app, one file a component under its digest.

use crate::data_dir::{DataDir, failed, make_folder, remove_file, write_atomically};
use eddy_types::{AppSpec, Digest, EddyError, ErrorCode, Manifest, Name, TenantId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is written of an app.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) spec: AppSpec,
    pub(super) manifest: Manifest,
}

impl Stored {
    /// As the text of its file.
    pub(super) fn encoded(&self) -> Result<Vec<u8>, EddyError> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| EddyError::internal(format!("an app does not encode: {error}")))
    }
}

/// The folders `apps` and `components`. Who writes holds the catalog's lock.
pub(super) struct Files {
    dir: Arc<DataDir>,
}

impl Files {
    pub(super) fn new(dir: Arc<DataDir>) -> Self {
        Self { dir }
    }

    /// Where each app is; all of them together may be large.
    pub(super) fn apps(&self) -> Result<Vec<(TenantId, PathBuf)>, EddyError> {
        let mut found = Vec::new();
        for folder in entries(&self.dir.join("apps"))? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let Ok(tenant) = TenantId::new(&name) else {
                continue;
            };
            for path in entries(&folder)? {
                if path
                    .extension()
                    .is_some_and(|extension| extension == "json")
                {
                    found.push((tenant.clone(), path));
                }
            }
        }
        Ok(found)
    }

    /// Writes an app, encoded.
    pub(super) fn write_app(
        &self,
        tenant: &TenantId,
        name: &Name,
        text: &[u8],
    ) -> Result<(), EddyError> {
        let path = self.app_path(tenant, name);
        make_folder(&self.dir.join("apps").join(tenant.as_str()))
            .map_err(|error| failed(&path, "cannot be written", &error))?;
        write_if_different(&path, text)
    }

    /// The size of an app's file, in bytes; nothing for one that cannot be looked at.
    pub(super) fn app_size(&self, tenant: &TenantId, name: &Name) -> u64 {
        size(&self.app_path(tenant, name))
    }

    pub(super) fn remove_app(&self, tenant: &TenantId, name: &Name) -> Result<(), EddyError> {
        let path = self.app_path(tenant, name);
        remove_file(&path).map_err(|error| failed(&path, "cannot be removed", &error))
    }

    fn app_path(&self, tenant: &TenantId, name: &Name) -> PathBuf {
        self.dir
            .join("apps")
            .join(tenant.as_str())
            .join(format!("{name}.json"))
    }

    /// Writes a component; one that is `known` only when its file is missing or damaged.
    pub(super) fn write_blob(
        &self,
        digest: Digest,
        bytes: &[u8],
        known: bool,
    ) -> Result<(), EddyError> {
        let path = self.blob_path(digest);
        match known {
            true => write_if_different(&path, bytes),
            false => write(&path, bytes),
        }
    }

    pub(super) fn read_blob(&self, digest: Digest) -> Result<Vec<u8>, EddyError> {
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

    /// The size of a component's file, in bytes; nothing for one that cannot be looked at.
    pub(super) fn blob_size(&self, digest: Digest) -> u64 {
        size(&self.blob_path(digest))
    }

    pub(super) fn has_blob(&self, digest: Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("components").join(digest.to_string())
    }

    /// Removes components that are not kept, and what interrupted writes left; answers with the
    /// components that are gone. A file that comes back after a crash is removed the next time.
    pub(super) fn sweep(&self, kept: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, EddyError> {
        let mut gone = BTreeSet::new();
        let remove = |path: &Path| {
            fs::remove_file(path).map_err(|error| failed(path, "cannot be removed", &error))
        };
        for path in entries(&self.dir.join("components"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match name.parse::<Digest>() {
                Ok(digest) if !kept.contains(&digest) => {
                    remove(&path)?;
                    gone.insert(digest);
                }
                Err(_) if is_leftover(&path) => remove(&path)?,
                _ => {}
            }
        }
        let tenants = entries(&self.dir.join("apps"))?;
        for folder in tenants.iter().filter(|path| path.is_dir()) {
            for path in entries(folder)?.iter().filter(|path| is_leftover(path)) {
                remove(path)?;
            }
        }
        Ok(gone)
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Replaces a file that is missing, old or damaged.
fn write_if_different(path: &Path, bytes: &[u8]) -> Result<(), EddyError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    write(path, bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EddyError> {
    write_atomically(path, bytes, 0o644).map_err(|error| failed(path, "cannot be written", &error))
}

fn is_leftover(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tmp")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, EddyError> {
    let read = || {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()
    };
    read().map_err(|error| failed(folder, "cannot be read", &error))
}

/// What one of [`Files::apps`] says.
pub(super) fn read_app<T: DeserializeOwned>(path: &Path) -> Result<T, EddyError> {
    let text = fs::read(path).map_err(|error| failed(path, "cannot be read", &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        EddyError::new(
            ErrorCode::IncompatibleData,
            format!("{}: {error}", path.display()),
        )
        .hint("Start the version of Eddy that wrote it, or delete the file and deploy again.")
    })
}
