//! Mistakes that people make are explained at compile time. Each file in tests/ui is one; beside it lies what the
//! compiler says. To write those anew: `TRYBUILD=overwrite cargo test --workspace --test it mistakes`.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
