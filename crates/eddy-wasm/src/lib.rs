//! eddy-wasm
