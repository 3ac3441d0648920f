#!/bin/sh
# Builds hello.wasm anew. Needs the target wasm32-wasip2.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$(pwd)/target}
RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$(pwd)=hello" \
    cargo build --release --locked --target wasm32-wasip2 --target-dir "$target"
cp "$target/wasm32-wasip2/release/hello.wasm" ../hello.wasm
