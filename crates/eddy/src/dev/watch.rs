//! Waits for saves of the files that a bundle was made from.

use eddy_types::{EddyError, ErrorCode};
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A save is over when nothing happened for so long: editors write in several steps.
const QUIET: Duration = Duration::from_millis(40);
/// Something that never gets quiet is looked at all the same.
const AT_MOST: Duration = Duration::from_secs(1);
/// By so much file systems may write down an earlier time than a clock tells.
const TICK: Duration = Duration::from_millis(20);

/// A look-out for saves.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    /// The project's folder. Within it, each folder of a path is looked at, too.
    root: PathBuf,
    /// A save that has begun and that nobody was told of.
    save: Option<Save>,
    shared: Arc<Shared>,
}

/// When a save began, and when something of it was heard last.
#[derive(Clone, Copy)]
struct Save {
    since: Instant,
    last: Instant,
}

#[derive(Default)]
struct Shared {
    looked_at: Mutex<LookedAt>,
    saved: Notify,
}

#[derive(Default)]
struct LookedAt {
    files: BTreeSet<PathBuf>,
    /// Those that are watched: the folders of the files.
    folders: BTreeSet<PathBuf>,
    /// Folders that were removed or renamed. Their watches, and those below, are gone or went along.
    lost: BTreeSet<PathBuf>,
}

impl Watch {
    /// A look-out for the project in the folder `root`, that has nothing to look at yet.
    pub(crate) fn new(root: &Path) -> Result<Self, EddyError> {
        let shared = Arc::<Shared>::default();
        let heard = shared.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            heard.event(event);
        });
        Ok(Self {
            watcher: watcher.map_err(cannot)?,
            root: std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()),
            save: None,
            shared,
        })
    }

    /// From now on these files are looked at, whether they are there or not. It is their folders
    /// that are watched, for many editors put a new file in the old one's place. What was not looked at before and
    /// has changed since `begun`, when the files began to be read, counts as a save.
    ///
    /// An error tells of a folder that cannot be watched; the others are.
    pub(crate) fn look_at(
        &mut self,
        files: impl IntoIterator<Item = PathBuf>,
        begun: SystemTime,
    ) -> Result<(), EddyError> {
        let files = self.parts(files);
        let folders = files.iter().filter_map(|file| file.parent());
        let folders: BTreeSet<PathBuf> = folders.map(Path::to_owned).collect();
        let now = LookedAt {
            files: files.clone(),
            folders: folders.clone(),
            lost: BTreeSet::new(),
        };
        // Before they are watched, or what happens at once would be nobody's. The lock is not held while the
        // watcher is asked: it may be waiting to tell of something.
        let before = std::mem::replace(&mut *self.shared.looked_at.lock(), now);
        let (kept, gone): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
            before.folders.into_iter().partition(|folder| {
                let is_lost = before.lost.iter().any(|lost| folder.starts_with(lost));
                folders.contains(folder) && !is_lost
            });
        for folder in gone {
            // One that was removed is not watched any more anyway.
            let _ = self.watcher.unwatch(&folder);
        }
        let watched = self.watch(folders.difference(&kept));
        let is_new = |file: &&PathBuf| {
            let stayed = file.parent().is_some_and(|folder| kept.contains(folder));
            !(stayed && before.files.contains(*file))
        };
        if files
            .iter()
            .filter(is_new)
            .any(|file| changed_since(file, begun))
        {
            self.hear();
        }
        watched
    }

    /// Watches folders; tells of the first that cannot be.
    fn watch<'f>(&mut self, folders: impl Iterator<Item = &'f PathBuf>) -> Result<(), EddyError> {
        let mut failed = None;
        for folder in folders {
            let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) else {
                continue;
            };
            // The next time it is tried again.
            self.shared.looked_at.lock().folders.remove(folder);
            if matches!(error.kind, notify::ErrorKind::PathNotFound) {
                // It went away just now.
                self.hear();
            } else {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(cannot(error)))
    }

    /// What to look at for the sake of these files: they themselves, and the folders that they are in as far as the
    /// project goes, which may be put in place of others. Where folders are missing, the first of them is what will come.
    fn parts(&self, files: impl IntoIterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
        let mut seen = BTreeSet::new();
        let mut parts = BTreeSet::new();
        for file in files {
            let Ok(file) = std::path::absolute(file) else {
                continue;
            };
            for part in file.ancestors() {
                // What is above it was seen then, too.
                if !seen.insert(part.to_owned()) {
                    break;
                }
                let real = real(part);
                let within = |folder: &Path| folder.starts_with(&self.root) && folder != self.root;
                let is_last = real.is_some() && !part.parent().is_some_and(within);
                parts.extend(real);
                if is_last {
                    break;
                }
            }
        }
        parts
    }

    /// Waits for the next save, and until it is over. Cancellation-safe: who comes back waits for what was left.
    pub(crate) async fn saved(&mut self) {
        loop {
            let shared = self.shared.clone();
            let heard = shared.saved.notified();
            match self.save {
                None => heard.await,
                Some(Save { since, last }) => tokio::select! {
                    () = heard => {}
                    () = tokio::time::sleep_until((last + QUIET).min(since + AT_MOST)) => break,
                },
            }
            self.hear();
        }
        self.save = None;
    }

    /// Something of a save was heard.
    fn hear(&mut self) {
        let last = Instant::now();
        let since = self.save.map_or(last, |save| save.since);
        self.save = Some(Save { since, last });
    }
}

impl Shared {
    fn event(&self, event: notify::Result<Event>) {
        let matters = match event {
            Ok(event) => self.looked_at.lock().matters(&event),
            Err(_) => true,
        };
        if matters {
            self.saved.notify_one();
        }
    }
}

impl LookedAt {
    /// Whether an event is of a save. Notes folders that it takes away.
    fn matters(&mut self, event: &Event) -> bool {
        if event.need_rescan() {
            // Events were dropped, of anything.
            self.lost.extend(self.folders.iter().cloned());
            return true;
        }
        if event.kind.is_access() {
            return false;
        }
        let takes_away = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        let mut matters = false;
        for path in &event.paths {
            matters |= self.files.contains(path);
            if takes_away && self.folders.contains(path) {
                self.lost.insert(path.clone());
                matters = true;
            }
        }
        matters
    }
}

/// The path as the system tells it: its folder with links resolved. None without such a folder.
fn real(file: &Path) -> Option<PathBuf> {
    let folder = std::fs::canonicalize(file.parent()?).ok()?;
    Some(folder.join(file.file_name()?))
}

/// Whether a file was written, or put into its place, since then.
fn changed_since(file: &Path, then: SystemTime) -> bool {
    let Ok(found) = std::fs::metadata(file) else {
        return false;
    };
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    let seconds = u64::try_from(found.ctime()).unwrap_or(0);
    let nanos = u32::try_from(found.ctime_nsec()).unwrap_or(0);
    since(then).is_some_and(|then| Duration::new(seconds, nanos) + TICK >= then)
}

fn cannot(mut error: notify::Error) -> EddyError {
    let folders = std::mem::take(&mut error.paths);
    let reason = error.to_string();
    let reason = reason.trim_end_matches('.');
    let detail = match &folders[..] {
        [] => format!("files cannot be watched: {reason}"),
        [folder, ..] => format!("saves in {} are not seen: {reason}", folder.display()),
    };
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => too_many(detail),
        notify::ErrorKind::Io(error) if is_limit(error) => too_many(detail),
        notify::ErrorKind::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            EddyError::new(ErrorCode::InvalidArgument, detail)
                .hint("Let this user read the folder, or save something elsewhere in the project after a change in it.")
        }
        _ => EddyError::internal(detail),
    }
}

/// Of instances that watch, or of open files.
fn is_limit(error: &io::Error) -> bool {
    let limits = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| limits.contains(&code))
}

fn too_many(detail: String) -> EddyError {
    EddyError::new(ErrorCode::LimitExceeded, detail)
        .hint("On Linux raise fs.inotify.max_user_watches and max_user_instances with sysctl.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::fs;

    /// A time before anything in these tests was written.
    const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

    fn now() -> SystemTime {
        #[allow(clippy::disallowed_methods, reason = "files have the system's time")]
        SystemTime::now()
    }

    /// Waits for a save that must come; it does within milliseconds.
    async fn saved(watch: &mut Watch) {
        let saved = tokio::time::timeout(Duration::from_secs(20), watch.saved());
        saved.await.expect("a save is seen");
    }

    /// A look-out in a folder, that has looked at these paths and found nothing new.
    fn looking_at(folder: &Path, names: &[&str]) -> (Watch, impl Fn(&mut Watch) + use<>) {
        let files: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
        let look = move |watch: &mut Watch| {
            let later = now() + Duration::from_secs(60);
            let looked = watch.look_at(files.clone(), later);
            looked.expect("they can be watched");
        };
        let mut watch = Watch::new(folder).expect("files can be watched");
        look(&mut watch);
        assert!(watch.saved().now_or_never().is_none());
        (watch, look)
    }

    #[tokio::test]
    async fn saves_in_place_and_by_renaming_are_seen_and_others_are_not() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a.ts"), "1").expect("it can be written");
        let (mut watch, _) = looking_at(dir.path(), &["a.ts", "missing.ts"]);
        fs::write(path("other.ts"), "1").expect("it can be written");
        fs::write(path("a.ts"), "2").expect("it can be written");
        saved(&mut watch).await;
        fs::write(path("new.ts"), "3").expect("it can be written");
        fs::rename(path("new.ts"), path("a.ts")).expect("it can be renamed");
        saved(&mut watch).await;
        fs::write(path("missing.ts"), "1").expect("it can be written");
        saved(&mut watch).await;
        fs::write(path("other.ts"), "2").expect("it can be written");
        fs::write(path("missing.ts"), "2").expect("it can be written");
        saved(&mut watch).await;
    }

    #[tokio::test]
    async fn folders_may_come_go_and_be_replaced() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| dir.path().join(name);
        let (mut watch, look) = looking_at(dir.path(), &["a.ts", "lib/deep/x.ts"]);
        for folder in ["lib", "lib/deep"] {
            fs::create_dir(path(folder)).expect("made");
            saved(&mut watch).await;
            look(&mut watch);
        }
        fs::write(path("lib/deep/x.ts"), "1").expect("written");
        saved(&mut watch).await;
        look(&mut watch);
        // Away and back at once: another folder under the same name.
        fs::remove_dir_all(path("lib")).expect("removed");
        fs::create_dir_all(path("lib/deep")).expect("made");
        saved(&mut watch).await;
        look(&mut watch);
        fs::write(path("lib/deep/x.ts"), "2").expect("written");
        saved(&mut watch).await;
        look(&mut watch);
        // Nothing in `lib` itself is looked at but the folder below.
        fs::rename(path("lib"), path("old")).expect("renamed");
        fs::create_dir_all(path("lib/deep")).expect("made");
        saved(&mut watch).await;
        look(&mut watch);
        fs::write(path("lib/deep/x.ts"), "3").expect("written");
        saved(&mut watch).await;
    }

    #[tokio::test]
    async fn the_folder_of_all_may_be_replaced() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let project = dir.path().join("project");
        fs::create_dir(&project).expect("made");
        let (mut watch, look) = looking_at(&project, &["a.ts"]);
        fs::remove_dir(&project).expect("removed");
        saved(&mut watch).await;
        look(&mut watch);
        fs::create_dir(&project).expect("made");
        saved(&mut watch).await;
        look(&mut watch);
        fs::write(project.join("a.ts"), "1").expect("written");
        saved(&mut watch).await;
    }

    #[tokio::test]
    async fn who_looks_often_sees_a_save_as_well() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (mut watch, _) = looking_at(dir.path(), &["a.ts"]);
        fs::write(dir.path().join("a.ts"), "1").expect("written");
        // As beside a guest that logs all the time: who waits is called away at once.
        for _ in 0..5000 {
            if watch.saved().now_or_never().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it is not seen");
    }

    #[tokio::test]
    async fn what_changed_before_it_was_looked_at_is_a_save() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("a.ts");
        fs::write(&file, "1").expect("written");
        let (mut watch, _) = looking_at(dir.path(), &["a.ts"]);
        // It was looked at all the time.
        watch.look_at([file.clone()], LONG_AGO).expect("watched");
        assert!(watch.save.is_none());
        let mut watch = Watch::new(dir.path()).expect("files can be watched");
        watch.look_at([file], LONG_AGO).expect("watched");
        saved(&mut watch).await;
    }
}
