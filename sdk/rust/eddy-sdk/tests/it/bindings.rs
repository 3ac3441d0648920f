//! The checked-in bindings are what the generator makes of the platform's WIT. They are checked in
//! so that a user's build needs neither the generator nor the forty crates behind it.

use std::path::Path;
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};
use wit_bindgen_rust::Opts;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// To write them anew: `EDDY_UPDATE_BINDINGS=1 cargo test --workspace --test it bindings`.
#[test]
fn the_bindings_are_those_of_the_platform() {
    let made = generate();
    let path = Path::new(HERE).join("src/bindings.rs");
    if std::env::var_os("EDDY_UPDATE_BINDINGS").is_some() {
        std::fs::write(&path, &made).expect("the bindings can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == kept,
        "src/bindings.rs is not what wit/platform.wit gives; run this test with EDDY_UPDATE_BINDINGS=1"
    );
}

fn generate() -> String {
    let wit = Path::new(HERE).join("../../../wit/platform.wit");
    let mut resolve = Resolve::default();
    let package = resolve.push_file(&wit).expect("the WIT parses");
    let world = resolve
        .select_world(&[package], Some("app"))
        .expect("the world `app` is there");
    let options = Opts {
        format: true,
        pub_export_macro: true,
        default_bindings_module: Some("eddy_sdk::bindings".to_owned()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .expect("the bindings are generated");
    let (_, contents) = files.iter().next().expect("one file is generated");
    String::from_utf8(contents.to_vec()).expect("the bindings are text")
}
