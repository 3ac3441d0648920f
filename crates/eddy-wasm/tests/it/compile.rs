//! What is refused at deploy, with a reason, and what a component says of itself.

use crate::support::{code, engine};
use eddy_types::ErrorCode;
use eddy_wasm::CancelToken;

/// The smallest component: it has no exports.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn refused(bytes: &[u8]) -> String {
    let error = engine().compile(bytes).expect_err("refused");
    assert_eq!(error.code, ErrorCode::InvalidComponent);
    error.to_string()
}

#[test]
fn a_component_without_the_export_is_told_which() {
    let text = refused(EMPTY);
    assert!(text.contains("eddy:platform/guest@0.1.0"), "{text}");
}

#[test]
fn a_core_module_is_told_apart() {
    let text = refused(EMPTY_MODULE);
    assert!(
        text.contains("core WebAssembly module") && text.contains("wasm32-wasip2"),
        "{text}"
    );
}

#[test]
fn anything_else_is_refused() {
    assert!(refused(b"hello").contains("does not start like"));
    assert!(refused(b"\0asm\x0d\0\x01\0garbage").contains("does not compile"));
}

#[test]
fn an_unknown_import_is_named() {
    // (component (import "eddy:platform/state@9.0.0" (instance)) ...) with one function wanted.
    let bytes = component_importing("acme:db/query@1.0.0");
    let text = refused(&bytes);
    assert!(text.contains("acme:db/query@1.0.0"), "{text}");
}

/// A component that imports an instance with one function `f: func()`.
fn component_importing(name: &str) -> Vec<u8> {
    let mut bytes = EMPTY.to_vec();
    // Type section: an instance type that exports one function.
    let types = [1, 0x42, 2, 1, 0x40, 0, 1, 0, 4, 0, 1, b'f', 1, 0].as_slice();
    bytes.push(7);
    bytes.push(u8::try_from(types.len()).expect("short"));
    bytes.extend_from_slice(types);
    // Import section: one instance of type 0.
    let mut import = vec![1, 0, u8::try_from(name.len()).expect("short")];
    import.extend_from_slice(name.as_bytes());
    import.extend_from_slice(&[5, 0]);
    bytes.push(10);
    bytes.push(u8::try_from(import.len()).expect("short"));
    bytes.extend_from_slice(&import);
    bytes
}

#[test]
fn a_component_that_the_pool_has_no_room_for_is_refused() {
    // One module with a table of 20,001 functions, instantiated.
    let module = [EMPTY_MODULE, &[4, 6, 1, 0x70, 0, 0xA1, 0x9C, 1]].concat();
    let mut bytes = EMPTY.to_vec();
    bytes.extend([1, u8::try_from(module.len()).expect("short")]);
    bytes.extend(&module);
    bytes.extend([2, 4, 1, 0, 0, 0]);
    let text = refused(&bytes);
    assert!(text.contains("too large for a node"), "{text}");
}

#[tokio::test]
async fn a_component_describes_itself() {
    let definition = code()
        .describe(None, &CancelToken::new())
        .await
        .expect("described");
    assert!(
        definition
            .functions
            .iter()
            .any(|name| name.as_str() == "hello")
    );
    let counter = &definition.agents[0];
    assert_eq!(counter.name.as_str(), "counter");
    let read_only = |name: &str| {
        counter
            .methods
            .iter()
            .find(|method| method.name.as_str() == name)
            .map(|m| m.read_only)
    };
    assert_eq!(
        (read_only("value"), read_only("increment")),
        (Some(true), Some(false))
    );
}
