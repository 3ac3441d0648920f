//! The hash map of the hot paths.

/// A hash map whose keys come from people and programs, not from an attacker's offline search: its
/// hash is several times quicker than the standard library's, and seeded anew in each process.
/// Nothing may depend on the order of its entries. Make one with `default()`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// What [`HashMap`] hashes with: seeded anew in each process, so that nobody outside can choose keys that collide.
pub type RandomState = foldhash::quality::RandomState;
