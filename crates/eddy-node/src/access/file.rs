//! What is kept of tenants and tokens: one file of the data folder, readable by its owner only. Of a
//! token's secret it holds the digest.

use crate::data_dir::{DataDir, failed, write_atomically};
use eddy_types::{Digest, EddyError, ErrorCode, Role, TenantId, TenantSpec, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

const NAME: &str = "access.json";
const VERSION: u32 = 1;

/// All of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) version: u32,
    pub(super) tenants: BTreeMap<TenantId, TenantSpec>,
    pub(super) tokens: Vec<StoredToken>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredToken {
    pub(super) id: String,
    /// None for an operator's.
    pub(super) tenant: Option<TenantId>,
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) expires: Option<Timestamp>,
    /// SHA-256 of the secret.
    pub(super) digest: Digest,
}

pub(super) fn read(dir: &DataDir) -> Result<Stored, EddyError> {
    read_at(&dir.join(NAME))
}

/// Of a data folder that nobody has opened; nothing is made.
pub(super) fn look(data: &Path) -> Result<Stored, EddyError> {
    read_at(&data.join(NAME))
}

fn read_at(path: &Path) -> Result<Stored, EddyError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
        Err(error) => return Err(failed(path, "cannot be read", &error)),
    };
    let incompatible = |why: String| {
        let detail = format!("{}: {why}", path.display());
        EddyError::new(ErrorCode::IncompatibleData, detail)
            .hint("Start the version of Eddy that wrote it, or put the file back from a backup.")
    };
    let stored: Stored =
        serde_json::from_slice(&text).map_err(|error| incompatible(error.to_string()))?;
    if stored.version != VERSION {
        return Err(incompatible(format!("it is of version {}", stored.version)));
    }
    Ok(stored)
}

pub(super) fn write(dir: &DataDir, stored: &Stored) -> Result<(), EddyError> {
    let path = dir.join(NAME);
    let stored = Stored {
        version: VERSION,
        ..stored.clone()
    };
    let text = serde_json::to_vec_pretty(&stored)
        .map_err(|error| EddyError::internal(format!("the tokens do not encode: {error}")))?;
    write_atomically(&path, &text, 0o600)
        .map_err(|error| failed(&path, "cannot be written", &error))
}
