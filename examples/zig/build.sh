#!/bin/sh
# Builds basket.wasm with Zig, out of the same bindings as C.
set -eu
cd "$(dirname "$0")"
mkdir -p build
wit-bindgen c ../../wit/platform.wit --world app --out-dir build
zig build-exe -target wasm32-wasi -mexec-model=reactor -fno-entry -OReleaseSmall -lc -I build \
  basket.zig build/app.c build/app_component_type.o -femit-bin=build/basket.core.wasm
wasm-tools component new build/basket.core.wasm -o basket.wasm
