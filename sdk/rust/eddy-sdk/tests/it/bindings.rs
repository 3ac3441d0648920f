//! The checked-in bindings are current. They are checked in, so that a user's build needs neither the generator nor
//! the crates behind it; `cargo xtask guests` writes them, together with a copy of the WIT that they were made from.

#[test]
fn the_bindings_are_those_of_the_platform() {
    let here = env!("CARGO_MANIFEST_DIR");
    let used = std::fs::read_to_string(format!("{here}/wit/platform.wit")).unwrap();
    let platform = std::fs::read_to_string(format!("{here}/../../../wit/platform.wit")).unwrap();
    assert!(
        used == platform,
        "wit/platform.wit has changed since the bindings were made: run `cargo xtask guests`"
    );
}
