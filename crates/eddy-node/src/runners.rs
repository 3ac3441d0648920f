//! What waits for a processor. Turns that do not begin on the thread that decided them wait here in
//! line, not among the runtime's tasks: there, those that read from the network and write to it would
//! wait behind all of them, and a node that has too much to do could not even say so. Tenants take turns,
//! and while more than one of them asks, whatever they ask for stands in line: connections are read in the
//! order in which they have something, and one tenant may have many of them.

use crate::fair::FairQueue;
use crate::inner::Inner;
use crate::{runs, turns};
use eddy_core::TurnStart;
use eddy_types::{RandomState, TenantId};
use parking_lot::Mutex;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// So many requests in a row of one tenant mean that it is the only one that asks.
const ALONE_AFTER: u32 = 256;

/// Work on a request, other than a turn.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Runners {
    pub(crate) fn new(processors: usize) -> Self {
        Self {
            line: Mutex::default(),
            most: (2 * processors).max(4),
            last: AtomicU64::default(),
            shared: AtomicU32::default(),
            hashes: RandomState::default(),
        }
    }

    /// How much waits.
    pub(crate) fn waiting(&self) -> usize {
        self.line.lock().jobs.len()
    }

    /// Notes that this tenant wants something to begin. Says whether another one does so, too: then it is to stand
    /// in line. Approximate, as threads do not wait for each other here.
    pub(crate) fn shared(&self, tenant: &TenantId) -> bool {
        let who = self.hashes.hash_one(tenant) | 1;
        let before = self.last.load(Relaxed);
        if before != who {
            self.last.store(who, Relaxed);
            let shared = before != 0;
            if shared {
                self.shared.store(ALONE_AFTER, Relaxed);
            }
            return shared;
        }
        let left = self.shared.load(Relaxed);
        if left > 0 {
            self.shared.store(left - 1, Relaxed);
        }
        left > 0
    }
}

enum Job {
    Turn(TurnStart),
    Work(Work),
}

/// The line, and how many serve it.
pub(crate) struct Runners {
    line: Mutex<Line>,
    /// Tasks that begin what waits. More than processors, so that none idles while one of them is between two turns; few
    /// enough that other tasks never wait for long.
    most: usize,
    /// The tenant that wanted something to begin last, as its hash; 0 when there was none.
    last: AtomicU64,
    /// After so many more requests of that tenant, it is alone.
    shared: AtomicU32,
    hashes: RandomState,
}

#[derive(Default)]
struct Line {
    jobs: FairQueue<Job>,
    runners: usize,
}

/// Runs a turn as soon as a processor has time for it. What a turn that runs waits for goes first.
pub(crate) fn turn(inner: &Arc<Inner>, start: TurnStart) {
    let first = start.chain.depth > 0;
    let tenant = start.agent.tenant().clone();
    line_up(inner, &tenant, Job::Turn(start), first);
}

/// The same for other work; `first` when something that runs waits for it.
pub(crate) fn work(inner: &Arc<Inner>, tenant: &TenantId, work: Work, first: bool) {
    line_up(inner, tenant, Job::Work(work), first);
}

/// Runs work here and now as far as it goes, and as a task of its own from there on; or stands it in line, where it
/// may not begin here.
pub(crate) fn begin(inner: &Arc<Inner>, tenant: &TenantId, work: Work) {
    match runs::may_begin(inner, tenant) {
        true => first_slice(inner, work),
        false => self::work(inner, tenant, work, false),
    }
}

fn first_slice(inner: &Arc<Inner>, mut work: Work) {
    if runs::first_slice(work.as_mut()).is_pending() {
        inner.tasks.spawn(work);
    }
}

fn line_up(inner: &Arc<Inner>, tenant: &TenantId, job: Job, first: bool) {
    let mut line = inner.runners.line.lock();
    if first {
        line.jobs.push_front(tenant, job);
    } else {
        line.jobs.push_back(tenant, job);
    }
    if line.runners == inner.runners.most {
        return;
    }
    line.runners += 1;
    drop(line);
    let node = inner.clone();
    inner.tasks.spawn(async move {
        let runner = Runner(&node);
        while let Some(job) = runner.next() {
            match job {
                Job::Turn(start) => turns::run(&node, start),
                Job::Work(work) => first_slice(&node, work),
            }
            // The network first.
            tokio::task::yield_now().await;
        }
        // It has taken itself off.
        std::mem::forget(runner);
    });
}

/// One that serves the line.
struct Runner<'a>(&'a Inner);

impl Runner<'_> {
    /// What is next; none, and it is no runner any more.
    fn next(&self) -> Option<Job> {
        let mut line = self.0.runners.line.lock();
        let job = line.jobs.pop();
        line.runners -= usize::from(job.is_none());
        job
    }
}

/// A runner that broke; another one takes its place when the next job comes.
impl Drop for Runner<'_> {
    fn drop(&mut self) {
        self.0.runners.line.lock().runners -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a tenant")
    }

    #[test]
    fn who_is_alone_does_not_stand_in_line() {
        let runners = Runners::new(2);
        let (one, two) = (tenant("one"), tenant("two"));
        for _ in 0..1000 {
            assert!(!runners.shared(&one));
        }
        assert!(runners.shared(&two), "another one came");
        assert!(runners.shared(&one));
        let asked = (0..1000).take_while(|_| runners.shared(&one)).count();
        assert_eq!(asked, ALONE_AFTER as usize, "nobody else came again");
        assert!(!runners.shared(&one));
    }
}
