#!/bin/sh
# Builds guests that are written in Rust, puts them where eddy-wasm's tests read them, and records what they were
# built from: `guests/build.sh bench-guest http-guest`. Needs the target wasm32-wasip2.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
assets=$here/../crates/eddy-wasm/assets
# Panic messages name source files; say where in the crates, not where on this machine.
registry=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*)
for guest in "$@"; do
    target=${CARGO_TARGET_DIR:-$here/$guest/target}
    # Each in its own folder: a guest is no part of the workspace.
    (
        cd "$guest"
        RUSTFLAGS="--remap-path-prefix=$registry/= --remap-path-prefix=$here/$guest/=$guest/" \
            cargo build --release --locked --target wasm32-wasip2 --target-dir "$target"
    )
    cp "$target/wasm32-wasip2/release/$(echo "$guest" | tr - _).wasm" "$assets/$guest.wasm"
done
cd ..
# The whole workspace, so that the build of the tests is used as it is.
EDDY_RECORD=1 cargo test -q --workspace --test it assets
