//! The user's cache: what takes long to make and can be made again.

use std::env;
use std::path::PathBuf;

/// `$EDDY_CACHE_DIR`, or eddy in the user's cache; none where there is no user.
pub(crate) fn folder() -> Option<PathBuf> {
    let var = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = var("EDDY_CACHE_DIR") {
        return Some(dir.into());
    }
    let base = var("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(var("HOME")?).join(".cache")));
    Some(base?.join("eddy"))
}

/// Where nodes keep compiled code whose data folder is young, or is thrown away.
pub(crate) fn code() -> Option<PathBuf> {
    Some(folder()?.join("code"))
}
