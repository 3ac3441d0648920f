[package]
name = "{{name}}"
version = "0.1.0"
edition = "2024"
publish = false

# The crates of the SDK stay their own: nothing here is a workspace.
[workspace]
exclude = ["sdk"]

[lib]
crate-type = ["cdylib"]

[dependencies]
eddy-sdk = { path = "sdk/eddy-sdk" }
serde = { version = "1", features = ["derive"] }

# Small components load quickly.
[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = "debuginfo"
