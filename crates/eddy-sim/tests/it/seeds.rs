//! Nothing is broken: everything must hold.

use eddy_sim::{Options, run};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn same_seed_same_log() {
    for seed in 0..20 {
        let logs = [(); 2].map(|()| run(seed, &Options::default()).expect("the seed holds"));
        assert_eq!(logs[0].log, logs[1].log, "seed {seed}");
        assert_eq!(logs[0].log_hash, logs[1].log_hash);
    }
    let hashes: std::collections::BTreeSet<u64> = (0..5)
        .map(|seed| {
            run(seed, &Options::default())
                .expect("the seed holds")
                .log_hash
        })
        .collect();
    assert_eq!(hashes.len(), 5, "different seeds must differ");
}

/// Things that must happen somewhere among the seeds, or they are not tested at all.
const MUST_HAPPEN: &[&str] = &[
    "crash",
    "crash while starting",
    "cycle",
    "deadline",
    "deadlock",
    "delivery failed",
    "duplicate",
    "echo",
    "failed flush",
    "function retried",
    "graceful stop",
    "guest failed",
    "invoke",
    "landed unheard",
    "mismatch",
    "passivated",
    "redriven",
    "retry",
    "take-over",
    "throw",
    "timer fired",
    "zombie refused",
];

#[test]
fn ten_thousand_seeds_hold() {
    let (from, count) = (
        setting("EDDY_SIM_FROM", 0),
        setting("EDDY_SIM_SEEDS", 10_000),
    );
    let next = AtomicU64::new(from);
    let (violations, totals) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    let work = || {
        let mut own: BTreeMap<&'static str, u64> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let failed = !violations.lock().expect("nobody panics with it").is_empty();
            if seed >= from + count || failed {
                break;
            }
            match run(seed, &Options::default()) {
                Ok(report) => {
                    for (what, times) in report.counters {
                        *own.entry(what).or_default() += times;
                    }
                }
                Err(violation) => {
                    violations
                        .lock()
                        .expect("nobody panics with it")
                        .push(violation);
                }
            }
        }
        for (what, times) in own {
            *totals
                .lock()
                .expect("nobody panics with it")
                .entry(what)
                .or_insert(0) += times;
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    if let Some(violation) = violations
        .into_inner()
        .expect("nobody panics with it")
        .first()
    {
        panic!("{violation}");
    }
    let totals = totals.into_inner().expect("nobody panics with it");
    println!("{totals:#?}");
    if count >= 1000 {
        let missing = |what: &&&str| !totals.contains_key(**what);
        let missing: Vec<_> = MUST_HAPPEN.iter().filter(missing).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}
