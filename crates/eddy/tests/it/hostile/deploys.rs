//! Deploys that attack: components that do not describe themselves, code that the node does not run,
//! documents and manifests that are too much.

use super::{Siege, code, guest, manifest, wasm_app};
use eddy_api::{DeployComponent, DeployRequest, Module};
use eddy_types::{EddyError, ErrorCode};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::time::Duration;

/// The hostile guest in one of its modes: see guests/hostile-guest/src/mode.rs.
fn in_mode(mode: u8) -> Vec<u8> {
    const MARK: &[u8] = b"hostile-mode:";
    let mut wasm = guest();
    let at = wasm.windows(MARK.len()).position(|part| part == MARK);
    wasm[at.expect("the mark is there") + MARK.len()] = mode;
    wasm
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
    bytes
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb(content.len()).as_slice(), content].concat()
}

/// How many core modules a component has at its top level.
fn modules_of(component: &[u8]) -> usize {
    let (mut at, mut modules) = (8, 0);
    while at < component.len() {
        let id = component[at];
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] < 0x80 {
                break;
            }
        }
        at += 1 + size;
        modules += usize::from(id == 1);
    }
    modules
}

/// The hostile guest, with another core module of these sections that it instantiates `times`.
fn with_module(sections: &[Vec<u8>], times: usize) -> Vec<u8> {
    let mut wasm = guest();
    let index = leb(modules_of(&wasm));
    let module = [b"\0asm\x01\0\0\0".as_slice(), &sections.concat()].concat();
    wasm.extend(section(1, &module));
    let one = [&[0], index.as_slice(), &[0]].concat();
    wasm.extend(section(2, &[leb(times), one.repeat(times)].concat()));
    wasm
}

/// A module's memory section, with its limits as they are encoded.
fn memory(limits: &[u8]) -> Vec<u8> {
    section(5, &[&[1], limits].concat())
}

/// A function without parameters and results, of this code, that runs when the module starts.
fn starts(code: &[u8]) -> Vec<Vec<u8>> {
    let body = [&[0], code, &[0x0b]].concat();
    let body = [leb(body.len()), body].concat();
    vec![
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[1, 0]),
        section(8, &[0]),
        section(10, &[&[1], body.as_slice()].concat()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_lies_about_itself_is_not_deployed() {
    let siege = Siege::begin().await;
    for mode in *b"HRTMAN" {
        let deployed = siege
            .during(1, siege.deploy(manifest(), in_mode(mode)))
            .await;
        let refused = code(deployed);
        let expected = [
            ErrorCode::InvalidComponent,
            ErrorCode::PayloadTooLarge,
            ErrorCode::LimitExceeded,
        ];
        assert!(
            expected.contains(&refused),
            "{}: {refused:?}",
            char::from(mode)
        );
    }
    let garbage: [&[u8]; 5] = [
        b"",
        b"\0asm",
        b"\0asm\x0d\0\x01\0",
        &[0xff; 64],
        &guest()[..100_000],
    ];
    for bytes in garbage {
        let deployed = siege.deploy(manifest(), bytes.to_vec()).await;
        assert_eq!(code(deployed), ErrorCode::InvalidComponent);
    }
    // What WebAssembly has, and this node not: many memories and tables, threads, code without end.
    let table = section(4, &[1, 0x70, 0, 0x90, 0x4e]);
    let hostile = [
        (
            "ten thousand instances",
            with_module(&[memory(&[0, 1])], 10_000),
        ),
        ("a shared memory", with_module(&[memory(&[3, 1, 1])], 1)),
        ("8 GiB", with_module(&[memory(&[0, 0x80, 0x80, 8])], 1)),
        (
            "a 64-bit memory of 16 TiB",
            with_module(&[memory(&[4, 0x80, 0x80, 0x80, 0x80, 1])], 1),
        ),
        ("a hundred tables", with_module(&[table], 100)),
        ("a start that traps", with_module(&starts(&[0]), 1)),
        (
            "an unknown import",
            with_module(&[section(2, &[1, 1, b'a', 1, b'b', 0, 0])], 1),
        ),
    ];
    for (what, wasm) in hostile {
        let deployed = siege.during(1, siege.deploy(manifest(), wasm)).await;
        let refused = code(deployed);
        let expected = [
            ErrorCode::InvalidComponent,
            ErrorCode::MemoryLimit,
            ErrorCode::Overloaded,
        ];
        assert!(expected.contains(&refused), "{what}: {refused:?}");
    }
    // The JavaScript runtime itself, which exports more than others: a component as any other one.
    let runtime = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../eddy-wasm/assets/js-runtime.wasm"
    );
    let runtime = std::fs::read(runtime).expect("it is built");
    let deployed = siege.deploy(manifest(), runtime).await;
    assert!(deployed.is_ok() || code(deployed) == ErrorCode::InvalidComponent);
    siege.ends().await;
}

/// Code that never ends its start, more of it than may be compiled at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploys_without_end_keep_nobody_else_from_deploying() {
    let siege = Siege::begin().await;
    let spinning = [
        wasm_app(manifest(), in_mode(b'S')),
        wasm_app(
            manifest(),
            with_module(&starts(&[0x03, 0x40, 0x0c, 0, 0x0b]), 1),
        ),
        javascript("while (true) {}"),
        javascript("const f = () => f(); for (;;) { try { f(); } catch {} }"),
    ];
    let deploys = spinning.map(|app| {
        let attacker = siege.attacker.clone();
        tokio::spawn(async move { attacker.deploy(&app).await })
    });
    // They are at it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    siege.during(3, async {}).await;
    let own = std::fs::read(crate::node::bench_guest()).expect("it is built");
    for name in ["bench", "bench"] {
        let app = wasm_app(json!({"name": name}), own.clone());
        siege
            .innocent
            .deploy(&app)
            .await
            .expect("it deploys meanwhile");
    }
    let ended = deploys.iter().filter(|deploy| deploy.is_finished()).count();
    assert_eq!(ended, 0, "the innocent one did not wait for them");
    deploys.iter().for_each(tokio::task::JoinHandle::abort);
    siege.ends().await;
}

fn module(name: &str, source: &str) -> Module {
    Module {
        name: name.to_owned(),
        source: source.to_owned(),
        source_map: None,
    }
}

pub(super) fn javascript(source: &str) -> DeployRequest {
    program(vec![module("main.js", source)])
}

/// The same with a manifest of its own.
pub(super) fn javascript_as(manifest: Value, source: &str) -> DeployRequest {
    program_as(manifest, vec![module("main.js", source)])
}

fn program(modules: Vec<Module>) -> DeployRequest {
    program_as(manifest(), modules)
}

fn program_as(mut manifest: Value, modules: Vec<Module>) -> DeployRequest {
    manifest["components"] = json!({"main": {"path": "main.js"}});
    DeployRequest {
        manifest: to_raw_value(&manifest).expect("it is JSON"),
        components: vec![DeployComponent::Js {
            name: "main".to_owned(),
            modules,
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_too_much_are_refused() {
    let siege = Siege::begin().await;
    let deploy = async |app: DeployRequest| -> Result<(), EddyError> {
        siege.during(1, siege.attacker.deploy(&app)).await.map(drop)
    };
    let good = "import { fn } from 'eddy'; export const f = fn(() => 1);";
    let refused = [
        ErrorCode::InvalidSource,
        // The compiler is a guest, too.
        ErrorCode::GuestTrap,
        ErrorCode::PayloadTooLarge,
        ErrorCode::LimitExceeded,
        ErrorCode::MemoryLimit,
    ];
    let expect_refused = |what: &str, ended: Result<(), EddyError>| {
        let code = code(ended);
        assert!(refused.contains(&code), "{what}: {code:?}");
    };
    // Source that takes the compiler's stack or memory.
    for (what, source) in [
        ("brackets", "[".repeat(1_000_000)),
        (
            "parentheses",
            format!("{}1{}", "(".repeat(500_000), ")".repeat(500_000)),
        ),
        ("throws", "throw new Error('x'.repeat(1 << 20))".to_owned()),
        (
            "hogs",
            "const a = []; for (;;) a.push(new Array(1 << 16).fill(1));".to_owned(),
        ),
        ("not a module", "\0\u{feff}\u{2028}".to_owned()),
        (
            "imports files",
            "import '../../../../etc/passwd';".to_owned(),
        ),
        (
            "imports the network",
            "import 'http://127.0.0.1/x.js';".to_owned(),
        ),
    ] {
        expect_refused(what, deploy(javascript(&source)).await);
    }
    let twice = vec![module("a.js", good), module("a.js", good)];
    expect_refused("twice", deploy(program(twice)).await);
    expect_refused(
        "reserved",
        deploy(program(vec![module("eddy", good)])).await,
    );
    expect_refused("nothing", deploy(program(Vec::new())).await);
    let many = (0..20_000)
        .map(|n| module(&format!("m{n}.js"), ""))
        .collect();
    expect_refused("many modules", deploy(program(many)).await);

    // A source map is a help, never a reason to fail; one that is too large goes with its deploy.
    for map in [
        "{",
        "null",
        r#"{"version":3,"sources":["\u0000"],"mappings":"////////"}"#,
        &"A".repeat(1 << 20),
    ] {
        let mut with_map = module("main.js", good);
        with_map.source_map = Some(map.to_owned());
        let deployed = deploy(program(vec![with_map])).await;
        assert!(
            deployed.is_ok() || code(deployed) == ErrorCode::InvalidSource,
            "{}",
            map.len()
        );
    }
    let mut with_map = module("main.js", good);
    with_map.source_map = Some(format!(
        r#"{{"version":3,"names":[],"sources":["a"],"mappings":"{}"}}"#,
        "AAAA;".repeat(11_000_000)
    ));
    let deployed = deploy(program(vec![with_map])).await;
    assert!(deployed.is_ok() || refused.contains(&code(deployed)));

    // Manifests.
    for hostile in [
        json!({"name": "../hostile"}),
        json!({"name": "a\u{0}b"}),
        json!({"name": "x".repeat(1000)}),
        json!({"name": 1}),
        json!([]),
        json!({"name": "h", "functions": {"f": {"memory": "1TiB"}}}),
        json!({"name": "h", "functions": {"f": {"memory": -1}}}),
        json!({"name": "h", "functions": {"f": {"concurrency": 1_000_000_000}}}),
        json!({"name": "h", "functions": {"f": {"timeout": "1e999s"}}}),
        json!({"name": "h", "agents": {"hydra": {"retries": {"attempts": 4_000_000_000_u32}}}}),
        json!({"name": "h", "unknown": 1}),
        json!({"name": "h", "env": {"A=B": "x"}}),
        json!({"name": "h", "env": {"A": {"secret": "../x"}}}),
    ] {
        let app = match hostile.is_object() {
            true => wasm_app(hostile.clone(), guest()),
            false => DeployRequest {
                manifest: to_raw_value(&hostile).expect("it is JSON"),
                components: Vec::new(),
            },
        };
        let refused = code(deploy(app).await);
        let expected = [
            ErrorCode::InvalidManifest,
            ErrorCode::InvalidName,
            ErrorCode::InvalidArgument,
            ErrorCode::SecretMissing,
        ];
        assert!(expected.contains(&refused), "{hostile}: {refused:?}");
    }
    // A few bytes that would become hundreds in memory, and what is only too long.
    let many = format!("[{}0]", "{\"\":0},".repeat(6_000_000));
    let long = json!({"name": "h", "env": {"A": "x".repeat(300_000)}}).to_string();
    for manifest in [many, long] {
        let app = DeployRequest {
            manifest: RawValue::from_string(manifest).expect("it is JSON"),
            components: Vec::new(),
        };
        assert_eq!(code(deploy(app).await), ErrorCode::InvalidManifest);
    }
    let nested = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    let app = wasm_app(json!({"name": "h", "env": {"A": nested}}), guest());
    assert_eq!(code(deploy(app).await), ErrorCode::InvalidManifest);
    siege.ends().await;
}
