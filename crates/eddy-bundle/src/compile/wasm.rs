//! WebAssembly files. Only the first bytes are looked at; a node checks the rest.

use super::problem::{BundleError, Problem};
use super::project::{Budget, SourceFile};
use eddy_types::ErrorCode;

const MAGIC: &[u8] = b"\0asm";
/// Version and layer, the four bytes after the magic ones.
const CORE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// The bytes of a component. `invalid-component` for anything else.
pub(crate) fn read(file: &SourceFile, budget: &mut Budget) -> Result<Vec<u8>, BundleError> {
    let bytes = file.read(budget)?;
    let name = &file.name;
    let problem = match bytes
        .strip_prefix(MAGIC)
        .map(|rest| &rest[..rest.len().min(4)])
    {
        Some(COMPONENT) => return Ok(bytes),
        Some(CORE) => Problem::new(format!(
            "{name} is a core WebAssembly module, and Eddy runs components"
        ))
        .hint(
            "Build it as a component: in Rust `cargo build --target wasm32-wasip2`; a finished \
             core module with `wasm-tools component new in.wasm -o out.wasm`.",
        ),
        Some(version) => Problem::new(format!(
            "{name} is WebAssembly of a kind that Eddy does not know (version bytes {version:02x?})"
        ))
        .hint("Build it with a current toolchain as a component (binary format 0d 00 01 00)."),
        None => Problem::new(format!(
            "{name} is not WebAssembly: it does not begin with `\\0asm`"
        ))
        .hint("If it is the text format, convert it: `wasm-tools parse in.wat -o out.wasm`."),
    };
    Err(problem.fail(ErrorCode::InvalidComponent))
}
