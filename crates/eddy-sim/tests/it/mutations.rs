//! Each rule broken on purpose must be noticed, and soon.

use eddy_sim::{MUTATIONS, Options, run};

/// Seeds within which a broken rule must show.
const WITHIN: u64 = 1000;

#[test]
fn every_mutation_is_caught() {
    let mut missed = Vec::new();
    for mutation in MUTATIONS {
        let options = Options {
            mutation: Some(*mutation),
            ..Options::default()
        };
        match (0..WITHIN).find_map(|seed| run(seed, &options).err()) {
            Some(found) => println!("{mutation:?}: seed {}: {}", found.seed, found.what),
            None => missed.push(mutation),
        }
    }
    assert!(
        missed.is_empty(),
        "not noticed within {WITHIN} seeds: {missed:?}"
    );
}
