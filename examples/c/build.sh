#!/bin/sh
# Builds basket.wasm. `zig cc` is clang with a C library for WebAssembly; another clang that has one (wasi-sdk) does as
# well: CC=... ./build.sh
set -eu
cd "$(dirname "$0")"
mkdir -p build
wit-bindgen c ../../wit/platform.wit --world app --out-dir build
${CC:-zig cc} --target=wasm32-wasi -mexec-model=reactor -Os -Wall -Wextra -I build \
  basket.c build/app.c build/app_component_type.o -o build/basket.core.wasm
wasm-tools component new build/basket.core.wasm -o basket.wasm
