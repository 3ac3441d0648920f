//! The Python runtime that Python apps are deployed with: built once from the sources in this binary, with
//! componentize-py, and kept in the user's cache. Installing componentize-py is `toolchain`'s.

mod sources;
mod toolchain;

pub(crate) use toolchain::{Python, find_python};

use crate::cache;
use crate::output::Output;
use crate::progress;
use bytes::Bytes;
use eddy_bundle::{Bundle, BundledCode};
use eddy_types::{Digest, EddyError, ErrorCode};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is looked whether another process has built the runtime.
const POLL: Duration = Duration::from_millis(100);

/// A built runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    pub(crate) digest: Digest,
    path: PathBuf,
}

impl Runtime {
    /// The component.
    pub(crate) fn bytes(&self) -> Result<Bytes, EddyError> {
        let bytes = fs::read(&self.path).map_err(|error| unusable(&self.path, &error))?;
        if Digest::of(&bytes) == self.digest {
            return Ok(bytes.into());
        }
        let detail = format!(
            "{} is damaged: its bytes do not have its digest",
            self.path.display()
        );
        Err(EddyError::new(ErrorCode::ToolchainFailed, detail)
            .hint("Delete the file; the next deploy builds it again."))
    }
}

/// The runtime for a bundle, when something in it is Python. The first time it is built, which takes a minute.
///
/// Who stops waiting ends the program that installs or builds.
pub(crate) async fn runtime_for(
    bundle: &Bundle,
    output: &Output,
) -> Result<Option<Runtime>, EddyError> {
    let mut code = bundle.components.iter().map(|component| &component.code);
    match code.any(|code| matches!(code, BundledCode::Python { .. })) {
        true => runtime(&cache_dir()?, output).await.map(Some),
        false => Ok(None),
    }
}

/// The runtime of a bundle with Python.
pub(crate) fn needed(runtime: Option<&Runtime>) -> Result<&Runtime, EddyError> {
    runtime.ok_or_else(|| EddyError::internal("a bundle with Python has no runtime"))
}

async fn runtime(cache: &Path, output: &Output) -> Result<Runtime, EddyError> {
    let folder = cache.join("python").join(format!("runtime-{}", key()));
    if let Some(runtime) = built(&folder) {
        return Ok(runtime);
    }
    let work = cache.join("python");
    fs::create_dir_all(&work).map_err(|error| unusable(&work, &error))?;
    let _lock = lock(&work.join("lock"), output).await?;
    // Whoever held the lock may have built it.
    if let Some(runtime) = built(&folder) {
        return Ok(runtime);
    }
    clear_leftovers(&work);
    let componentize = toolchain::componentize_py(&work, output).await?;
    let temporary = work.join("building.tmp");
    let made = {
        let _progress =
            progress::start(output, "Building the Python runtime (once, half a minute)");
        build(&componentize, &temporary).await
    };
    let digest = made?;
    fs::rename(&temporary, &folder).map_err(|error| unusable(&folder, &error))?;
    let path = folder.join(file_name(digest));
    Ok(Runtime { digest, path })
}

/// Builds into `folder`: one file, named by its digest.
async fn build(
    componentize: &toolchain::ComponentizePy,
    folder: &Path,
) -> Result<Digest, EddyError> {
    let failed = |error| unusable(folder, &error);
    let code = folder.join("sources");
    sources::write(&code).map_err(failed)?;
    let component = folder.join("component.wasm");
    componentize.build(&code, &component).await?;
    let digest = Digest::of(&fs::read(&component).map_err(failed)?);
    fs::rename(component, folder.join(file_name(digest))).map_err(failed)?;
    fs::remove_dir_all(code).map_err(failed)?;
    Ok(digest)
}

/// The runtime in its folder, which is there as a whole or not at all.
fn built(folder: &Path) -> Option<Runtime> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        let name = path.file_name()?.to_str()?;
        let digest = name.strip_suffix(".wasm")?.parse().ok()?;
        Some(Runtime { digest, path })
    })
}

fn file_name(digest: Digest) -> String {
    format!("{digest}.wasm")
}

/// Everything that the runtime is made of.
fn key() -> String {
    let mut parts = vec![toolchain::VERSION.as_bytes()];
    for (name, text) in sources::FILES {
        parts.extend([name.as_bytes(), text.as_bytes()]);
    }
    let mut key = Digest::of_parts(&parts).to_string();
    key.truncate(16);
    key
}

/// One process at a time builds. The lock goes with its process, however that ends.
async fn lock(path: &Path, output: &Output) -> Result<File, EddyError> {
    let failed = |error| unusable(path, &error);
    let file = File::create(path).map_err(failed)?;
    let mut progress = None;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            // Waiting inside the system would hold this task, and with it the signals.
            Err(TryLockError::WouldBlock) => {
                let what = "Waiting for another eddy that builds the Python runtime";
                progress.get_or_insert_with(|| progress::start(output, what));
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

/// Removes what builds that were interrupted have left. Under the lock.
fn clear_leftovers(work: &Path) {
    for entry in fs::read_dir(work).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn cache_dir() -> Result<PathBuf, EddyError> {
    cache::folder().ok_or_else(|| {
        EddyError::new(
            ErrorCode::ToolchainFailed,
            "there is no folder for the Python runtime: neither EDDY_CACHE_DIR nor HOME is set",
        )
        .hint("Set EDDY_CACHE_DIR to a folder that can be written.")
    })
}

fn unusable(path: &Path, error: &io::Error) -> EddyError {
    EddyError::new(
        ErrorCode::ToolchainFailed,
        format!(
            "the cache for Python cannot be used: {}: {error}",
            path.display()
        ),
    )
    .hint("Check the folder and its disk, or set EDDY_CACHE_DIR to another one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_found_by_its_digest_and_only_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(built(&dir.path().join("missing")).is_none());
        fs::write(dir.path().join("component.wasm"), "half").expect("written");
        assert!(built(dir.path()).is_none(), "no digest in its name");
        let digest = Digest::of(b"whole");
        fs::write(dir.path().join(file_name(digest)), "whole").expect("written");
        let found = built(dir.path()).expect("it is there");
        assert_eq!(found.bytes().expect("its bytes"), &b"whole"[..]);
        fs::write(&found.path, "damaged").expect("written");
        let error = found.bytes().expect_err("damaged");
        assert_eq!(error.code, ErrorCode::ToolchainFailed);
    }
}
