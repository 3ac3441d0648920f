//! Spare instances: made ahead, so that a cold start takes one off the shelf. A spare holds the code
//! of one version of one app, with its environment, and has run nothing but its own start. It serves
//! once: a function, or any agent of its component.
//!
//! They are made where cold starts happen, in the background and one after the other, so that
//! requests that wait go first; and they go when nobody asked for a while, when instances run short,
//! and when their app is replaced. The shelves are the app's own ([`App::spares`]): no other version,
//! app or tenant can reach them.

use crate::catalog::{App, Loaded};
use crate::clock;
use crate::inner::Inner;
use crate::turns::guarded;
use eddy_types::TenantId;
use eddy_wasm::{CancelToken, Fault, Instance, InstanceLimits};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Most spares of one kind.
const MOST: usize = 8;
/// Most spares of the node, and the share of all instances that they may be.
const MOST_OF_ALL: usize = 64;
const SHARE: usize = 8;
/// How many more are kept after a cold start that found none.
const MORE: usize = 2;
/// How long spares stay when nobody asks for any.
const KEPT: Duration = Duration::from_secs(5);
/// Used instances that wait to be dropped together, outside of any request.
const USED: usize = 4;

/// What spares can stand in for each other: the component, by its address in the app that holds it,
/// and the memory limit.
type Kind = (usize, usize);

/// The shelves of one version of an app.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Shelves>);

#[derive(Default)]
struct Shelves {
    shelves: HashMap<Kind, Shelf>,
    used: Vec<Spare>,
    /// The app was replaced: nothing is put here any more.
    closed: bool,
    taken: u64,
}

struct Shelf {
    ready: Vec<Spare>,
    wanted: usize,
    asked: Instant,
    filling: bool,
}

/// An instance that serves nobody now: not yet, or no more.
struct Spare {
    instance: Instance,
    _counted: Counted,
}

/// One of the node's spares, or of the used instances that wait to be dropped, until dropped itself.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(inner: &Inner, counter: &Arc<AtomicUsize>) -> Option<Self> {
        let most = MOST_OF_ALL.min(inner.config.max_instances as usize / SHARE);
        let counted = Self(counter.clone());
        // Dropped again when it is one too many.
        (counted.0.fetch_add(1, Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A shelf is being filled until this goes, however that ends.
struct Filling(Arc<App>, Kind);

impl Drop for Filling {
    fn drop(&mut self) {
        self.0.spares.0.lock().filled(self.1);
    }
}

/// A spare of this kind, if there is one. That it was asked for makes more.
pub(crate) fn take(
    inner: &Arc<Inner>,
    app: &Arc<App>,
    loaded: &Arc<Loaded>,
    memory: usize,
) -> Option<Instance> {
    let kind = (Arc::as_ptr(loaded).addr(), memory);
    let (spare, fill) = app.spares.0.lock().take(kind);
    if fill {
        let (inner2, loaded) = (inner.clone(), loaded.clone());
        let filling = Filling(app.clone(), kind);
        inner.tasks.spawn(async move {
            fill_shelf(&inner2, &filling.0, &loaded, kind).await;
        });
    }
    spare
}

/// Drops an instance that has served, soon and together with others: it takes as long as making one.
/// At once, when as many as may wait for that do.
pub(crate) fn retire(inner: &Inner, app: &App, instance: Instance) {
    let Some(_counted) = Counted::new(inner, &inner.retired) else {
        return;
    };
    let used = Spare { instance, _counted };
    let mut shelves = app.spares.0.lock();
    shelves.used.push(used);
    if shelves.used.len() < USED && !shelves.closed {
        return;
    }
    let used = std::mem::take(&mut shelves.used);
    drop(shelves);
    inner.tasks.spawn(async move { drop(used) });
}

/// Makes spares until there are enough, or no more may be made.
async fn fill_shelf(inner: &Arc<Inner>, app: &App, loaded: &Loaded, kind: Kind) {
    let limits = app.instance_limits(kind.1);
    loop {
        // Behind everything that waits for a thread.
        tokio::task::yield_now().await;
        if inner.closing.is_cancelled() || !app.spares.0.lock().short(kind) {
            return;
        }
        // A spare is one of its tenant's instances, whoever asks for it.
        if !inner.fits_share(&app.account) {
            return app.spares.0.lock().give_up(kind);
        }
        let Some(counted) = Counted::new(inner, &inner.spares) else {
            return;
        };
        match make(inner, app, loaded, &limits).await {
            Ok(instance) => {
                let spare = Spare {
                    instance,
                    _counted: counted,
                };
                // What comes too late is dropped here, outside of the lock.
                drop(app.spares.0.lock().put(kind, spare));
            }
            // Whoever needs an instance will see the same, and is told.
            Err(_) => return app.spares.0.lock().give_up(kind),
        }
    }
}

async fn make(
    inner: &Arc<Inner>,
    app: &App,
    loaded: &Loaded,
    limits: &InstanceLimits,
) -> Result<Instance, Fault> {
    let cancel = CancelToken::new();
    let deadline = clock::now().plus(inner.config.deploy_guest_timeout);
    let program = loaded.program.as_ref();
    let made = loaded.code.instantiate(limits, program, &cancel);
    let gone = app.replaced.cancelled();
    let tenant = &app.account.tenant;
    guarded(inner, tenant, Some(deadline), gone, &cancel, made).await
}

impl Spares {
    /// Drops all for good: another version has taken the app's place, or none.
    pub(crate) fn close(&self) {
        let mut shelves = self.0.lock();
        shelves.closed = true;
        let dropped = (
            std::mem::take(&mut shelves.shelves),
            std::mem::take(&mut shelves.used),
        );
        drop(shelves);
        drop(dropped);
    }

    /// Drops what nobody has asked for lately.
    fn drop_idle(&self) {
        let now = clock::instant();
        let mut shelves = self.0.lock();
        let used = std::mem::take(&mut shelves.used);
        let idle = |shelf: &Shelf| !shelf.filling && now.duration_since(shelf.asked) >= KEPT;
        let gone: Vec<_> = shelves.shelves.extract_if(|_, shelf| idle(shelf)).collect();
        drop(shelves);
        drop((used, gone));
    }

    /// Drops every instance. Whether there was any.
    fn drop_all(&self) -> bool {
        let mut shelves = self.0.lock();
        let used = std::mem::take(&mut shelves.used);
        let mut ready = Vec::new();
        for shelf in shelves.shelves.values_mut() {
            shelf.wanted = 0;
            ready.append(&mut shelf.ready);
        }
        drop(shelves);
        !used.is_empty() || !ready.is_empty()
    }

    /// How many are ready, and how many were taken.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, u64) {
        let shelves = self.0.lock();
        let ready = shelves.shelves.values().map(|shelf| shelf.ready.len());
        (ready.sum(), shelves.taken)
    }
}

impl Shelves {
    /// A spare, and whether the shelf is to be filled.
    fn take(&mut self, kind: Kind) -> (Option<Instance>, bool) {
        if self.closed {
            return (None, false);
        }
        let now = clock::instant();
        let shelf = self.shelves.entry(kind).or_insert_with(|| Shelf {
            ready: Vec::new(),
            wanted: 0,
            asked: now,
            filling: false,
        });
        shelf.asked = now;
        let oldest = (!shelf.ready.is_empty()).then(|| shelf.ready.remove(0));
        let spare = oldest.map(|spare| spare.instance);
        match spare {
            Some(_) => self.taken += 1,
            None => shelf.wanted = (shelf.wanted + MORE).min(MOST),
        }
        let fill = !shelf.filling && shelf.ready.len() * 2 <= shelf.wanted;
        shelf.filling |= fill;
        (spare, fill)
    }

    fn short(&self, kind: Kind) -> bool {
        let shelf = self.shelves.get(&kind);
        shelf.is_some_and(|shelf| shelf.ready.len() < shelf.wanted)
    }

    /// Gives it back when it is not wanted any more.
    fn put(&mut self, kind: Kind, spare: Spare) -> Option<Spare> {
        match self.shelves.get_mut(&kind) {
            Some(shelf) if shelf.ready.len() < shelf.wanted => {
                shelf.ready.push(spare);
                None
            }
            _ => Some(spare),
        }
    }

    fn give_up(&mut self, kind: Kind) {
        if let Some(shelf) = self.shelves.get_mut(&kind) {
            shelf.wanted = 0;
        }
    }

    fn filled(&mut self, kind: Kind) {
        if let Some(shelf) = self.shelves.get_mut(&kind) {
            shelf.filling = false;
        }
    }
}

impl Inner {
    /// Drops spares that nobody has asked for lately.
    pub(crate) fn drop_idle_spares(&self) {
        for app in self.catalog.every_app() {
            app.spares.drop_idle();
        }
    }

    /// Drops all spares, so that others have their room. Whether there were any.
    pub(crate) fn drop_spares(&self) -> bool {
        drop_all(&self.catalog.every_app())
    }

    /// The same of one tenant.
    pub(crate) fn drop_spares_of(&self, tenant: &TenantId) -> bool {
        drop_all(&self.catalog.apps(tenant))
    }
}

/// Drops all spares of some apps. Whether there were any.
fn drop_all(apps: &[Arc<App>]) -> bool {
    let dropped = apps.iter().filter(|app| app.spares.drop_all());
    dropped.count() > 0
}

#[cfg(test)]
mod tests;
