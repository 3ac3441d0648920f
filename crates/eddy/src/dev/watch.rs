//! Waits for saves of the files that a bundle was made from.

use eddy_types::{EddyError, ErrorCode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A save is over when nothing happened for so long: editors write in several steps.
const QUIET: Duration = Duration::from_millis(40);
/// Something that never gets quiet is looked at all the same.
const AT_MOST: Duration = Duration::from_secs(1);

/// A look-out for saves.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// A save has begun that nobody was told of.
    begun: bool,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeSet<PathBuf>>,
    saved: Notify,
}

impl Watch {
    /// A look-out that has nothing to look at yet.
    pub(crate) fn new() -> Result<Self, EddyError> {
        let shared = Arc::<Shared>::default();
        let heard = shared.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            heard.event(event);
        });
        Ok(Self {
            watcher: watcher.map_err(|error| cannot(&error))?,
            folders: BTreeSet::new(),
            begun: false,
            shared,
        })
    }

    /// From now on these files are looked at, whether they are there or not. It is their folders
    /// that are watched, for many editors put a new file in the old one's place.
    pub(crate) fn look_at(
        &mut self,
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(), EddyError> {
        let files: BTreeSet<PathBuf> = files.into_iter().filter_map(|file| real(&file)).collect();
        let folders: BTreeSet<_> = files
            .iter()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        for gone in self.folders.difference(&folders) {
            // One that was removed is not watched any more anyway.
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            self.watcher
                .watch(new, RecursiveMode::NonRecursive)
                .map_err(|error| cannot(&error))?;
        }
        self.folders = folders;
        *self.shared.files.lock() = files;
        Ok(())
    }

    /// Waits for the next save, and until it is over. Cancellation-safe.
    pub(crate) async fn saved(&mut self) {
        let saved = &self.shared.saved;
        if !self.begun {
            saved.notified().await;
            self.begun = true;
        }
        let until_quiet =
            async { while tokio::time::timeout(QUIET, saved.notified()).await.is_ok() {} };
        let _ = tokio::time::timeout(AT_MOST, until_quiet).await;
        self.begun = false;
    }
}

impl Shared {
    fn event(&self, event: notify::Result<Event>) {
        let matters = match event {
            Ok(event) if event.need_rescan() => true,
            Ok(event) => {
                let files = self.files.lock();
                !event.kind.is_access() && event.paths.iter().any(|path| files.contains(path))
            }
            Err(_) => true,
        };
        if matters {
            self.saved.notify_one();
        }
    }
}

/// The path as the system tells it: its folder with links resolved. None without such a folder.
fn real(file: &Path) -> Option<PathBuf> {
    let folder = std::fs::canonicalize(file.parent()?).ok()?;
    Some(folder.join(file.file_name()?))
}

fn cannot(error: &notify::Error) -> EddyError {
    let detail = format!("files cannot be watched: {error}");
    EddyError::new(ErrorCode::Internal, detail)
        .hint("On Linux raise fs.inotify.max_user_watches and max_user_instances with sysctl.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn saves_in_place_and_by_renaming_are_seen_and_others_are_not() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a.ts"), "1").expect("it can be written");
        let mut watch = Watch::new().expect("files can be watched");
        watch
            .look_at([path("a.ts"), path("missing.ts")])
            .expect("they can be watched");
        assert!(watch.saved().now_or_never().is_none());
        std::fs::write(path("other.ts"), "1").expect("it can be written");
        std::fs::write(path("a.ts"), "2").expect("it can be written");
        watch.saved().await;
        std::fs::write(path("new.ts"), "3").expect("it can be written");
        std::fs::rename(path("new.ts"), path("a.ts")).expect("it can be renamed");
        watch.saved().await;
        std::fs::write(path("missing.ts"), "1").expect("it can be written");
        watch.saved().await;
        std::fs::write(path("other.ts"), "2").expect("it can be written");
        std::fs::write(path("missing.ts"), "2").expect("it can be written");
        watch.saved().await;
    }
}
