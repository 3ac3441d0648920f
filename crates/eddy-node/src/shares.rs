//! Whose guests compute next. A guest that computes gives its thread back at every tick, and then
//! wants it again at once: a tenant with many of them would have all the processors. So a guest that
//! wants to go on computing stands in line, and is woken when one of a few slots is its own; free slots
//! go around the tenants that wait, one after the other, however many guests each of them has.
//!
//! Not here: first slices, which run where a request came in and are bounded by who is let in, and by
//! `runners.rs`.

use crate::fair::FairQueue;
use crate::simulate::UnderWay;
use crate::tasks;
use eddy_types::TenantId;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// The slots of a node.
pub(crate) struct Shares(Mutex<State>);

struct State {
    free: usize,
    waiting: FairQueue<Arc<Ticket>>,
}

/// A guest that waits for a slot.
#[derive(Default)]
struct Ticket {
    granted: AtomicBool,
    /// It waits no more. Changed under the lock only, like `granted`.
    gone: AtomicBool,
    waker: AtomicWaker,
}

impl Shares {
    /// So many guests compute at once.
    pub(crate) fn new(slots: usize) -> Self {
        Self(Mutex::new(State {
            free: slots.max(1),
            waiting: FairQueue::default(),
        }))
    }

    /// Runs `work` in slots of this tenant's share.
    pub(crate) fn run<'a, F>(&'a self, tenant: &'a TenantId, work: F) -> Sharing<'a, F>
    where
        F: Future + Unpin,
    {
        Sharing {
            shares: self,
            tenant,
            ticket: None,
            waker: Arc::default(),
            computes: false,
            work,
        }
    }

    /// Guests that have begun, and stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    fn enter(&self, tenant: &TenantId) -> Option<Arc<Ticket>> {
        let mut state = self.0.lock();
        if state.free > 0 {
            state.free -= 1;
            return None;
        }
        let ticket = Arc::<Ticket>::default();
        state.waiting.push_back(tenant, ticket.clone());
        Some(ticket)
    }

    /// For who computed in a slot, and goes on. The waker is there before anybody can grant the ticket:
    /// this guest does not look again by itself.
    fn again(&self, tenant: &TenantId, waker: &Waker) -> Arc<Ticket> {
        let ticket = Arc::<Ticket>::default();
        ticket.waker.register(waker);
        self.0.lock().waiting.push_back(tenant, ticket.clone());
        ticket
    }

    /// A slot is free: whoever is next gets it.
    fn leave(&self) {
        let next = self.0.lock().next();
        if let Some(ticket) = next {
            ticket.waker.wake();
        }
    }

    fn give_up(&self, ticket: &Ticket) {
        let state = self.0.lock();
        ticket.gone.store(true, Ordering::Relaxed);
        let granted = ticket.granted.load(Ordering::Relaxed);
        drop(state);
        if granted {
            self.leave();
        }
    }
}

impl State {
    /// Hands a free slot to the next one; it stays free when nobody waits.
    fn next(&mut self) -> Option<Arc<Ticket>> {
        while let Some(ticket) = self.waiting.pop() {
            if !ticket.gone.load(Ordering::Relaxed) {
                ticket.granted.store(true, Ordering::Release);
                return Some(ticket);
            }
        }
        self.free += 1;
        None
    }
}

/// See [`Shares::run`].
pub(crate) struct Sharing<'a, F> {
    shares: &'a Shares,
    tenant: &'a TenantId,
    /// While it waits for a slot.
    ticket: Option<Arc<Ticket>>,
    waker: Arc<Noticing>,
    /// It has computed for a tick, and goes on.
    computes: bool,
    work: F,
}

/// A waker that tells a guest that computes from one that waits: the first one wakes itself.
#[derive(Default)]
struct Noticing {
    state: AtomicU8,
    task: AtomicWaker,
}

const IDLE: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

impl Wake for Noticing {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let polled =
            self.state
                .compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if polled == Err(IDLE) {
            self.task.wake();
        }
    }
}

impl<F: Future + Unpin> Future for Sharing<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if this.ticket.is_none() {
            this.ticket = this.shares.enter(this.tenant);
        }
        if let Some(ticket) = &this.ticket {
            ticket.waker.register(cx.waker());
            if !ticket.granted.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            this.ticket = None;
        }
        let _noted = UnderWay::begin();
        // Also when the work panics.
        let _slot = Slot(this.shares);
        this.waker.task.register(cx.waker());
        this.waker.state.store(POLLED, Ordering::Release);
        let waker = Waker::from(this.waker.clone());
        let work = Pin::new(&mut this.work);
        let mut noticing = Context::from_waker(&waker);
        let polled = match this.computes {
            true => tasks::computing(|| work.poll(&mut noticing)),
            false => work.poll(&mut noticing),
        };
        let woken = this.waker.state.swap(IDLE, Ordering::AcqRel) == WOKEN;
        this.computes = polled.is_pending() && woken;
        if this.computes {
            this.ticket = Some(this.shares.again(this.tenant, cx.waker()));
        }
        polled
    }
}

impl<F> Drop for Sharing<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            self.shares.give_up(ticket);
        }
    }
}

/// A guest computes while this lives.
struct Slot<'a>(&'a Shares);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream::{FuturesUnordered, StreamExt as _};
    use std::sync::atomic::AtomicUsize;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a tenant")
    }

    /// What a guest does at a tick: it wakes itself, and gives its thread back.
    async fn tick() {
        let mut gave_way = false;
        std::future::poll_fn(|cx| match std::mem::replace(&mut gave_way, true) {
            true => Poll::Ready(()),
            false => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }

    /// Computes for `slices`, and counts them.
    async fn compute(slices: usize, counted: &AtomicUsize) {
        for _ in 0..slices {
            counted.fetch_add(1, Ordering::Relaxed);
            tick().await;
        }
    }

    #[tokio::test]
    async fn one_guest_of_a_tenant_computes_as_much_as_a_hundred_of_another() {
        let shares = Shares::new(1);
        let (crowd, single) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (many, one) = (tenant("crowd"), tenant("single"));
        let all = FuturesUnordered::new();
        for _ in 0..100 {
            all.push(shares.run(&many, Box::pin(compute(1000, &crowd))));
        }
        let hundred = shares.run(&one, Box::pin(compute(100, &single)));
        let many = all.collect::<Vec<()>>();
        futures::future::select(Box::pin(many), hundred).await;
        let (crowd, single) = (
            crowd.load(Ordering::Relaxed),
            single.load(Ordering::Relaxed),
        );
        assert_eq!(single, 100, "it came to its end");
        assert!(
            crowd <= 2 * single,
            "the other had {crowd} slices meanwhile"
        );
    }

    #[tokio::test]
    async fn a_slot_comes_back_however_its_guest_ends() {
        let shares = Shares::new(1);
        let counted = AtomicUsize::new(0);
        let tenants = [tenant("a"), tenant("b")];
        for _ in 0..10 {
            let run = |n: usize| shares.run(&tenants[n % 2], Box::pin(compute(3, &counted)));
            let mut waiting: Vec<_> = (0..4).map(run).collect();
            // They have tickets, and one of them a granted one, when they are dropped.
            for work in &mut waiting {
                assert!(futures::poll!(work).is_pending());
            }
            drop(waiting);
            run(0).await;
        }
        let state = shares.0.lock();
        assert_eq!((state.free, state.waiting.len()), (1, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[allow(clippy::disallowed_methods, reason = "a test's own tasks")]
    async fn a_slot_that_comes_free_while_its_next_guest_lines_up_wakes_it() {
        let shares = Arc::new(Shares::new(2));
        let guests = ["a", "b", "c"].map(tenant).map(|own| {
            let shares = shares.clone();
            tokio::spawn(async move {
                let counted = AtomicUsize::new(0);
                let work = Box::pin(compute(100_000, &counted));
                shares.run(&own, work).await;
            })
        });
        for guest in guests {
            // Long, because it is for who waits for ever.
            let ended = tokio::time::timeout(std::time::Duration::from_mins(2), guest).await;
            ended.expect("nobody is forgotten").expect("it ends");
        }
    }

    #[tokio::test]
    async fn a_guest_that_panics_keeps_no_slot() {
        let shares = Shares::new(1);
        let own = tenant("a");
        let broken = shares.run(&own, Box::pin(async { panic!("on purpose") }));
        let caught = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(broken)).await;
        assert!(caught.is_err());
        assert_eq!(shares.0.lock().free, 1);
    }
}
