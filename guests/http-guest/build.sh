#!/bin/sh
# Builds the guest, puts it where eddy-wasm's tests read it, and records what it was built from.
# Needs the target wasm32-wasip2.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
home=${CARGO_HOME:-$HOME/.cargo}
target=${CARGO_TARGET_DIR:-$here/target}
# Panic messages name source files; say where in the crates, not where on this machine.
registry=$(echo "$home"/registry/src/*)
RUSTFLAGS="--remap-path-prefix=$registry/= --remap-path-prefix=$here/=http-guest/" \
    cargo build --release --locked --target wasm32-wasip2 --target-dir "$target"
assets=../../crates/eddy-wasm/assets
cp "$target/wasm32-wasip2/release/http_guest.wasm" "$assets/http-guest.wasm"
cd ../..
# The whole workspace, so that the build of the tests is used as it is.
EDDY_RECORD=1 cargo test -q --workspace --test it assets
