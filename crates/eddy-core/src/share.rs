//! What tenants hold of something that they share: of a shard messages that wait, sends under way, bytes
//! that run ahead of the disk; of a node large bodies. Nobody can use it up for the others. What is counted
//! and how much there is belongs to whoever counts.

use eddy_types::{HashMap, TenantId};

/// Tenants that hold nothing and are remembered all the same: the next one to come costs no entry.
const KEPT: usize = 64;

/// Entries, and the bytes that they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub entries: usize,
    /// What they hold.
    pub bytes: usize,
}

impl Amount {
    /// One more entry, for those who look at bytes before they come: what each may hold is bounded elsewhere.
    pub(crate) const ONE: Self = Self {
        entries: 1,
        bytes: 0,
    };
}

/// What is held, in all and by each tenant.
#[derive(Debug, Default)]
pub struct Held {
    total: Amount,
    tenants: HashMap<TenantId, Amount>,
}

impl Held {
    /// What is held by all.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.total
    }

    /// What a tenant holds.
    pub(crate) fn of(&self, tenant: &TenantId) -> Amount {
        self.tenants.get(tenant).copied().unwrap_or_default()
    }

    /// One more entry.
    pub fn add(&mut self, tenant: &TenantId, bytes: usize) {
        let own = match self.tenants.get_mut(tenant) {
            Some(own) => own,
            None => self.tenants.entry(tenant.clone()).or_default(),
        };
        for held in [own, &mut self.total] {
            held.entries += 1;
            held.bytes += bytes;
        }
    }

    /// An entry that was added is gone.
    pub fn remove(&mut self, tenant: &TenantId, bytes: usize) {
        let Some(own) = self.tenants.get_mut(tenant) else {
            return;
        };
        for held in [&mut *own, &mut self.total] {
            held.entries -= 1;
            held.bytes -= bytes;
        }
        if own.entries == 0 && self.tenants.len() > KEPT {
            self.tenants.remove(tenant);
        }
    }

    /// Whether a tenant may hold so much more. All together may hold twice as much as `most`, and each
    /// as much as it leaves free of that. So one alone has `most`, two that take what they can have two
    /// thirds of it each, and however many do, as much again is there for the next one.
    #[must_use]
    pub fn has_room(&self, tenant: &TenantId, more: Amount, most: Amount) -> bool {
        let of = |part: fn(Amount) -> usize| (part(more), part(self.total), part(most));
        let parts: [fn(Amount) -> usize; 2] = [|amount| amount.entries, |amount| amount.bytes];
        let plenty = parts.iter().all(|part| {
            let (more, total, most) = of(*part);
            more.saturating_add(total) <= most
        });
        // Nobody holds more than all do, so most of the time nobody needs to be looked up.
        if plenty {
            return true;
        }
        let own = self.of(tenant);
        parts.iter().all(|part| {
            let (more, total, most) = of(*part);
            let after = more.saturating_mul(2).saturating_add(total);
            part(own).saturating_add(after) <= most.saturating_mul(2)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: Amount = Amount {
        entries: 60,
        bytes: usize::MAX,
    };
    fn tenant(n: usize) -> TenantId {
        TenantId::new(&format!("t{n}")).expect("a tenant")
    }

    /// Takes as much as it gets.
    fn fill(held: &mut Held, tenant: &TenantId) -> usize {
        while held.has_room(tenant, Amount::ONE, MOST) {
            held.add(tenant, 0);
        }
        held.of(tenant).entries
    }

    #[test]
    fn one_alone_has_it_all_and_leaves_the_next_one_a_half() {
        let mut held = Held::default();
        assert_eq!(fill(&mut held, &tenant(0)), 60);
        assert_eq!(fill(&mut held, &tenant(1)), 30);
        assert_eq!(fill(&mut held, &tenant(2)), 15);
        assert_eq!(fill(&mut held, &tenant(0)), 60, "it gets no more");
        for _ in 0..60 {
            held.remove(&tenant(0), 0);
        }
        assert_eq!(
            fill(&mut held, &tenant(1)),
            52,
            "what is given back is there"
        );
    }

    #[test]
    fn bytes_are_looked_at_before_they_come() {
        let most = Amount {
            entries: usize::MAX,
            bytes: 100,
        };
        let mut held = Held::default();
        held.add(&tenant(0), 100);
        let none = Amount::default();
        assert!(held.has_room(&tenant(0), none, most));
        held.add(&tenant(0), 1);
        assert!(!held.has_room(&tenant(0), none, most));
        assert!(held.has_room(&tenant(1), none, most));
    }

    proptest! {
        /// The total is the sum and stays bounded, and so does the memory of who was there.
        #[test]
        fn it_counts_and_is_bounded(steps in proptest::collection::vec((0usize..200, any::<bool>()), 0..2000)) {
            let mut held = Held::default();
            for (who, take) in steps {
                let who = tenant(who);
                if take && held.has_room(&who, Amount::ONE, MOST) {
                    held.add(&who, 3);
                } else if held.of(&who).entries > 0 {
                    held.remove(&who, 3);
                }
                let sum: usize = held.tenants.values().map(|own| own.entries).sum();
                prop_assert_eq!(held.total(), Amount { entries: sum, bytes: 3 * sum });
                prop_assert!(sum < 2 * MOST.entries);
                prop_assert!(held.tenants.len() <= KEPT + sum);
            }
        }
    }
}
