#!/bin/sh
# Builds the shared JavaScript runtime and puts it where eddy-wasm embeds it.
# Needs: rustup target wasm32-wasip2; zig as the C compiler (`pip install ziglang`, or ZIG=/path/to/zig).
set -eu
cd "$(dirname "$0")"
here=$(pwd)
assets=$here/../../crates/eddy-wasm/assets
target=${CARGO_TARGET_DIR:-$here/target}
: "${ZIG:=python3 -m ziglang}"
export ZIG

# The C half of QuickJS: no SDK download, zig in the place of clang.
export RQUICKJS_SYS_NO_WASI_SDK=1
export CC_wasm32_wasip2=$here/tools/cc
export AR_wasm32_wasip2=$here/tools/ar
# No path of this machine in panic messages.
flags=
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags --remap-path-prefix=$crates=/crates"
done
export RUSTFLAGS="$flags --remap-path-prefix=$here=/js-runtime"

cargo build --release --locked --target wasm32-wasip2
raw=$target/wasm32-wasip2/release/eddy_js_runtime.wasm

# Runs the runtime's own start once and keeps the memory it leaves. SNAPSHOT names a tool already built.
unset RUSTFLAGS
: "${SNAPSHOT:=cargo run --quiet --release --locked --target-dir $target --manifest-path tools/Cargo.toml --bin snapshot --}"
$SNAPSHOT "$raw" "$target/js-runtime.wasm"

mkdir -p "$assets"
if grep -q "$HOME" "$target/js-runtime.wasm"; then
    echo "build.sh: a path of this machine is in the component" >&2
    exit 1
fi
cp "$target/js-runtime.wasm" "$assets/js-runtime.wasm"
./tools/sources > "$assets/js-runtime.sources.sha256"
ls -l "$assets"
