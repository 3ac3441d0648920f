//! Writes `sdk/rust/eddy-sdk/src/bindings.rs` from `wit/platform.wit`, and a copy of the WIT beside it, by which a
//! test of eddy-sdk knows that the bindings are current. `cargo xtask guests` runs it.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};
use wit_bindgen_rust::Opts;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let wit = root.join("wit/platform.wit");
    let sdk = root.join("sdk/rust/eddy-sdk");
    let mut resolve = Resolve::default();
    let package = resolve.push_file(&wit)?;
    let world = resolve.select_world(&[package], Some("app"))?;
    let options = Opts {
        format: true,
        pub_export_macro: true,
        default_bindings_module: Some("eddy_sdk::bindings".to_owned()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    let (_, bindings) = files.iter().next().context("no file was generated")?;
    fs::write(sdk.join("src/bindings.rs"), bindings)?;
    fs::copy(&wit, sdk.join("wit/platform.wit"))?;
    Ok(())
}
