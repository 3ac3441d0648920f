//! A queue that serves tenants in turn, however much each of them has in it.

use eddy_types::{HashMap, TenantId};
use std::collections::VecDeque;

/// Entries by tenant; those of one tenant keep their order.
pub(crate) struct FairQueue<T> {
    waiting: HashMap<TenantId, VecDeque<T>>,
    /// Tenants with entries, the next one first. Each stands here once.
    order: VecDeque<TenantId>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            waiting: HashMap::default(),
            order: VecDeque::new(),
            len: 0,
        }
    }
}

impl<T> FairQueue<T> {
    /// How many entries there are, of all tenants.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push_back(&mut self, tenant: &TenantId, entry: T) {
        self.queue(tenant).push_back(entry);
    }

    /// Before the others of its tenant.
    pub(crate) fn push_front(&mut self, tenant: &TenantId, entry: T) {
        self.queue(tenant).push_front(entry);
    }

    fn queue(&mut self, tenant: &TenantId) -> &mut VecDeque<T> {
        self.len += 1;
        let Self { waiting, order, .. } = self;
        waiting.entry(tenant.clone()).or_insert_with(|| {
            order.push_back(tenant.clone());
            VecDeque::new()
        })
    }

    /// The next entry of the next tenant.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let tenant = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&tenant);
        let queue = queue.expect("a tenant in the order has a queue");
        let entry = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        self.len -= 1;
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant(n: usize) -> TenantId {
        TenantId::new(&format!("t{n}")).expect("a tenant")
    }

    #[test]
    fn tenants_take_turns() {
        let mut queue = FairQueue::default();
        for n in 0..3 {
            queue.push_back(&tenant(0), (0, n));
        }
        queue.push_back(&tenant(1), (1, 0));
        queue.push_front(&tenant(0), (0, 9));
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all, [(0, 9), (1, 0), (0, 0), (0, 1), (0, 2)]);
        assert_eq!(queue.len(), 0);
    }

    proptest! {
        /// Between two entries of a tenant that waits, every other one that waits gets one at most.
        #[test]
        fn nobody_is_passed_over(steps in proptest::collection::vec(proptest::option::of(0usize..4), 1..200)) {
            let mut queue = FairQueue::default();
            let mut model = vec![VecDeque::new(); 4];
            let mut since = [[0usize; 4]; 4];
            for (n, step) in steps.into_iter().enumerate() {
                if let Some(who) = step {
                    queue.push_back(&tenant(who), (who, n));
                    model[who].push_back(n);
                    continue;
                }
                let got = queue.pop();
                prop_assert_eq!(got.is_some(), model.iter().any(|own| !own.is_empty()));
                let Some((who, n)) = got else { continue };
                prop_assert_eq!(model[who].pop_front(), Some(n));
                for other in 0..4 {
                    if other != who && !model[other].is_empty() {
                        since[other][who] += 1;
                        prop_assert!(since[other][who] <= 2, "{other} waits while {who} is served");
                    }
                }
                since[who] = [0; 4];
            }
            prop_assert_eq!(queue.len(), model.iter().map(VecDeque::len).sum::<usize>());
        }
    }
}
