//! Components of many parts: what they take of a node's instances and memory counts.

use crate::support::{GUEST, small};
use eddy_wasm::{CancelToken, Code, Engine, EngineConfig, Fault, InstanceLimits, MemoryAccount};
use std::sync::Arc;

const ELEMENTS: usize = 20_000;
/// A module with a table of so many elements.
const TABLE: &[u8] = b"\0asm\x01\0\0\0\x04\x06\x01\x70\0\xa0\x9c\x01";
/// A module with a memory of one page.
const MEMORY: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\0\x01";

/// The guest, and `count` instances of a core module beside its own.
fn guest_with(count: u8, module: &[u8]) -> Vec<u8> {
    let mut bytes = GUEST.to_vec();
    let mut section = |id: u8, content: &[u8]| {
        bytes.extend([id, u8::try_from(content.len()).expect("short")]);
        bytes.extend(content);
    };
    section(1, module);
    let instances = (0..count).flat_map(|_| [0, core_modules(GUEST), 0]);
    section(
        2,
        &std::iter::once(count).chain(instances).collect::<Vec<_>>(),
    );
    bytes
}

/// How many core modules a component has: sections with the number 1.
fn core_modules(component: &[u8]) -> u8 {
    let (mut at, mut found) = (8, 0);
    while let Some(id) = component.get(at) {
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(component[at] & 0x7F) << shift;
            shift += 7;
            if component[at] < 0x80 {
                break;
            }
        }
        at += 1 + size;
        found += u8::from(*id == 1);
    }
    found
}

/// An engine for eight instances, and the component in it.
fn compiled(bytes: &[u8]) -> (Engine, Code) {
    let config = EngineConfig {
        max_instances: 8,
        ..small()
    };
    let engine = Engine::new(config).expect("an engine");
    let code = engine.compile(bytes).expect("it compiles");
    (engine, code)
}

fn sharing(limit: Option<u64>) -> (Arc<MemoryAccount>, InstanceLimits) {
    let account = Arc::new(MemoryAccount::new(limit));
    let limits = InstanceLimits {
        account: Some(account.clone()),
        ..InstanceLimits::default()
    };
    (account, limits)
}

#[tokio::test]
async fn many_tables_or_memories_take_the_room_of_many_instances() {
    for bytes in [guest_with(28, TABLE), guest_with(7, MEMORY)] {
        let (engine, code) = compiled(&bytes);
        let (account, limits) = sharing(None);
        let start = || async { code.instantiate(&limits, None, &CancelToken::new()).await };
        let instance = start().await.expect("it starts");
        assert_eq!((engine.instances(), account.instances()), (8, 8));
        assert_eq!((code.places(), instance.places()), (8, 8));
        let second = start().await.err();
        assert!(matches!(second, Some(Fault::NoRoom { .. })), "{second:?}");
        drop(instance);
        assert_eq!((engine.instances(), account.instances()), (0, 0));
    }
}

#[tokio::test]
async fn tables_count_as_memory() {
    const TABLES: usize = 28;
    let (_, code) = compiled(&guest_with(28, TABLE));
    let (account, limits) = sharing(None);
    let token = CancelToken::new();
    let instance = code.instantiate(&limits, None, &token).await;
    let instance = instance.expect("it starts");
    let least = TABLES * ELEMENTS * size_of::<usize>();
    assert!(instance.charged_bytes() >= least, "{}", account.used());
    assert_eq!(account.used(), instance.charged_bytes());
    drop(instance);

    let (account, limits) = sharing(Some(2 << 20));
    let refused = code.instantiate(&limits, None, &token).await.err();
    let limit = 2 << 20;
    assert_eq!(refused, Some(Fault::SharedMemoryLimit { limit }));
    assert_eq!((account.used(), account.instances()), (0, 0));
}
