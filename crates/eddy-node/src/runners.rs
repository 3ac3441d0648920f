//! What waits for a processor. Turns that do not begin on the thread that decided them wait here in
//! line, not among the runtime's tasks: there, those that read from the network and write to it would
//! wait behind all of them, and a node that has too much to do could not even say so. Tenants take turns.

use crate::fair::FairQueue;
use crate::inner::Inner;
use crate::{runs, turns};
use eddy_core::TurnStart;
use eddy_types::TenantId;
use eddy_types::limits::ADMISSION_LINE;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;

/// Tasks that begin what waits. More than processors, so that none idles while one of them is
/// between two turns; few enough that other tasks never wait for long.
const RUNNERS: usize = 4;

/// Work on a request, other than a turn.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Runners {
    /// How much waits.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().jobs.len()
    }

    /// Whether so much waits that processors have no time for more.
    pub(crate) fn are_saturated(&self) -> bool {
        self.waiting() >= ADMISSION_LINE
    }
}

enum Job {
    Turn(TurnStart),
    Work(Work),
}

/// The line, and how many serve it.
#[derive(Default)]
pub(crate) struct Runners(Mutex<Line>);

#[derive(Default)]
struct Line {
    jobs: FairQueue<Job>,
    runners: usize,
}

/// Runs a turn as soon as a processor has time for it. What a turn that runs waits for goes first.
pub(crate) fn turn(inner: &Arc<Inner>, start: TurnStart) {
    let first = runs::is_nested();
    let tenant = start.agent.tenant().clone();
    line_up(inner, &tenant, Job::Turn(start), first);
}

/// The same for other work.
pub(crate) fn work(inner: &Arc<Inner>, tenant: &TenantId, work: Work) {
    line_up(inner, tenant, Job::Work(work), false);
}

fn line_up(inner: &Arc<Inner>, tenant: &TenantId, job: Job, first: bool) {
    let mut line = inner.runners.0.lock();
    if first {
        line.jobs.push_front(tenant, job);
    } else {
        line.jobs.push_back(tenant, job);
    }
    if line.runners == RUNNERS {
        return;
    }
    line.runners += 1;
    drop(line);
    let node = inner.clone();
    inner.tasks.spawn(async move {
        let runner = Runner(&node);
        while let Some(job) = runner.next() {
            begin(&node, job);
            // The network first.
            tokio::task::yield_now().await;
        }
        // It has taken itself off.
        std::mem::forget(runner);
    });
}

fn begin(inner: &Arc<Inner>, job: Job) {
    match job {
        Job::Turn(start) => turns::run(inner, start),
        Job::Work(mut work) => {
            if runs::first_slice(work.as_mut()).is_pending() {
                inner.tasks.spawn(work);
            }
        }
    }
}

/// One that serves the line.
struct Runner<'a>(&'a Inner);

impl Runner<'_> {
    /// What is next; none, and it is no runner any more.
    fn next(&self) -> Option<Job> {
        let mut line = self.0.runners.0.lock();
        let job = line.jobs.pop();
        line.runners -= usize::from(job.is_none());
        job
    }
}

/// A runner that broke; another one takes its place when the next job comes.
impl Drop for Runner<'_> {
    fn drop(&mut self) {
        self.0.runners.0.lock().runners -= 1;
    }
}
