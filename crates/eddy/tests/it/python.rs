//! Python apps on a real node. The first run on a machine installs componentize-py into the user's cache and builds the
//! runtime there; that takes a minute, a Python and the package index. `-E 'not test(python::)'` leaves them out.

use crate::binary::command;
use crate::node::Node;
use std::fs;
use std::path::Path;

const MAIN: &str = r#"
import asyncio, logging, random, re
from dataclasses import dataclass
from shop.cart import total
from vendored import shout
from eddy import AgentContext, EddyError, agent, fn, query

DRAWN = random.random()

@dataclass
class Item:
    sku: str
    count: int = 1

@agent
class ShoppingCart:
    def __init__(self):
        self.turns = 0

    async def add(self, ctx: AgentContext, sku: str, count: int = 1):
        self.turns += 1
        items = ctx.state.get("items", [])
        ctx.state["items"] = [*items, {"sku": sku, "count": count}]
        return {"total": total(ctx.state["items"]), "turns": self.turns}

    @query
    def last(self, ctx):
        return Item(**ctx.state["items"][-1])

@agent(name="till")
class _Till:
    def open(self, ctx): return repr(ctx.self)

@fn
async def greet(ctx, name): return shout(f"Hello, {name}!")

@fn(name="whole")
def takes_whole(ctx, value=None, /): return {"given": value}

@fn
def drawn(ctx): return [DRAWN, random.random()]

@fn
def prints(ctx):
    print("printed", 1)
    logging.getLogger("shop").warning("low on %s", "apples")
    logging.info("fine")

@fn
async def boom(ctx):
    await asyncio.sleep(0)
    check({"sku": 1})

def check(item):
    raise ValueError(f"no such item: {item}")

@fn
def threads(ctx):
    import nothing_like_it

@fn
def curses(ctx):
    import curses

@fn
async def together(ctx):
    async with asyncio.TaskGroup() as group:
        a = group.create_task(ctx.call("shopping_cart", "x", "add", sku="a"))
        b = group.create_task(ctx.call("shopping_cart", "y", "add", {"sku": "b", "count": 2}))
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)
    return [a.result()["total"], b.result()["total"]]

@fn
async def late(ctx):
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        return "late"

@fn
def runs(ctx):
    async def inner():
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(lambda: 42)
    return asyncio.run(inner())

@fn
async def deep(ctx, n=0): return await deep(ctx, n + 1)
"#;

fn app(dir: &Path) {
    for (name, text) in [
        ("eddy.toml", "name = \"shop\""),
        ("main.py", MAIN),
        ("shop/__init__.py", ""),
        (
            "shop/cart.py",
            "def total(items): return sum(item['count'] for item in items)",
        ),
        ("vendor/vendored/__init__.py", "from .voice import shout"),
        (
            "vendor/vendored/voice.py",
            "def shout(text): return text.upper()",
        ),
    ] {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn deploy(node: &Node, path: &Path) -> (bool, String) {
    let ran = command(&["deploy", path.to_str().unwrap()])
        .env("EDDY_URL", &node.url)
        .output()
        .unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8(text).unwrap())
}

fn stored(data: &Path) -> usize {
    fs::read_dir(data.join("components")).unwrap().count()
}

/// First by itself in `cargo xtask test`, which shows what it prints: what is installed, and where.
#[test]
fn the_runtime_is_built_before_a_node_is_asked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/behaviour/python");
    let status = command(&["deploy", folder.to_str().unwrap()])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(4), "no node is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_in_python() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    app(&dir.path().join("app"));
    let node = Node::up(&data);
    let (deployed, said) = deploy(&node, &dir.path().join("app"));
    assert!(deployed, "{said}");
    for name in ["shopping_cart", "till", "greet", "whole"] {
        assert!(said.contains(name), "{said}");
    }

    // Arguments by name, as a whole, and those that do not fit.
    assert_eq!(
        node.invoke("greet", "{\"name\":\"Ada\"}").await.unwrap(),
        "\"HELLO, ADA!\""
    );
    assert_eq!(
        node.invoke("greet", "\"Bob\"").await.unwrap(),
        "\"HELLO, BOB!\""
    );
    assert_eq!(
        node.invoke("whole", "{\"value\":1}").await.unwrap(),
        "{\"given\":{\"value\":1}}"
    );
    assert_eq!(node.invoke("whole", "").await.unwrap(), "{\"given\":null}");
    let error = node.invoke("greet", "{\"nome\":1}").await.unwrap_err();
    assert_eq!(error.detail, "greet takes (name), but 'name' is missing");
    let guest = error.guest.unwrap();
    assert_eq!(
        (guest.name.as_str(), guest.status),
        ("invalid-argument", Some(400))
    );

    // State, queries, the object of the class, another name.
    for (argument, expected) in [
        ("{\"sku\":\"a\"}", "{\"total\":1,\"turns\":1}"),
        ("{\"sku\":\"b\",\"count\":2}", "{\"total\":3,\"turns\":2}"),
    ] {
        assert_eq!(
            node.call("shopping_cart/ada", "add", argument)
                .await
                .unwrap(),
            expected
        );
    }
    let last = node.call("shopping_cart/ada", "last", "").await.unwrap();
    assert_eq!(last, "{\"sku\":\"b\",\"count\":2}");
    assert_eq!(node.call("till/1", "open", "").await.unwrap(), "\"till/1\"");

    // Waiting.
    assert_eq!(node.invoke("together", "").await.unwrap(), "[1,2]");
    assert_eq!(node.invoke("late", "").await.unwrap(), "\"late\"");
    assert_eq!(node.invoke("runs", "").await.unwrap(), "42");

    // No two instances draw the same numbers, neither while they load nor later.
    let mut drawn = Vec::new();
    for _ in 0..3 {
        let text = node.invoke("drawn", "").await.unwrap();
        drawn.extend(serde_json::from_str::<Vec<f64>>(&text).unwrap());
    }
    drawn.sort_by(f64::total_cmp);
    drawn.dedup();
    assert_eq!(drawn.len(), 6, "{drawn:?}");
    errors(&node).await;
    log(&node).await;

    // Another app brings only its modules, and a node that starts again has both.
    fs::write(
        dir.path().join("second.py"),
        "from eddy import fn\n@fn\ndef two(ctx): return 2",
    )
    .unwrap();
    assert_eq!(stored(&data), 2, "the modules and the runtime");
    let (deployed, said) = deploy(&node, &dir.path().join("second.py"));
    assert!(deployed, "{said}");
    assert_eq!(stored(&data), 3);
    drop(node);
    let node = Node::up(&data);
    assert_eq!(node.invoke("two", "").await.unwrap(), "2");
    let last = node.call("shopping_cart/ada", "last", "").await.unwrap();
    assert_eq!(last, "{\"sku\":\"b\",\"count\":2}");
    refused(&node, dir.path());
}

async fn errors(node: &Node) {
    let error = node.invoke("boom", "").await.unwrap_err();
    assert_eq!(error.detail, "no such item: {'sku': 1}");
    let guest = error.guest.unwrap();
    assert_eq!(guest.name, "ValueError");
    let stack = guest.stack.unwrap();
    for line in ["File \"main.py\", line 52, in boom", "line 55, in check"] {
        assert!(stack.contains(line), "{stack}");
    }
    assert!(
        !stack.contains("eddy_turn") && !stack.contains("asyncio"),
        "{stack}"
    );
    let missing = node.invoke("threads", "").await.unwrap_err();
    assert!(
        missing
            .detail
            .starts_with("No module named 'nothing_like_it'"),
        "{missing:?}"
    );
    let left_out = node.invoke("curses", "").await.unwrap_err();
    assert!(left_out.detail.contains("standard library"), "{left_out:?}");
    assert_eq!(left_out.guest.unwrap().name, "ModuleNotFoundError");
    let deep = node.invoke("deep", "").await.unwrap_err();
    assert_eq!(
        deep.guest.map(|guest| guest.name).as_deref(),
        Some("RecursionError"),
        "{}",
        deep.detail
    );
}

async fn log(node: &Node) {
    let options = eddy_api::CallOptions::default();
    let answer = node
        .client
        .invoke("prints", "".into(), &options)
        .await
        .unwrap();
    let record = node
        .client
        .invocation(&answer.invocation.unwrap())
        .await
        .unwrap();
    let lines: Vec<_> = record
        .logs
        .iter()
        .map(|line| format!("{} {}", line.level, line.message))
        .collect();
    assert_eq!(
        lines,
        ["info printed 1", "warn shop: low on apples", "info fine"]
    );
}

/// What is wrong with the code is told at deploy, and nothing changes.
fn refused(node: &Node, dir: &Path) {
    let path = dir.join("wrong.py");
    for (code, expected) in [
        ("def f(:\n  pass", "wrong.py:1:7"),
        ("x = 1\nreturn x", "'return' outside function"),
        (
            "import no_such_package",
            "No module named 'no_such_package'",
        ),
        (
            "from eddy import fn\n@fn\ndef f(ctx, *args): pass",
            "so `*args` can take nothing",
        ),
        (
            "from eddy import agent\n@agent\nclass A:\n def __init__(self, x): pass",
            "without arguments",
        ),
        (
            "from eddy import fn\n@fn\ndef f(): pass",
            "must begin with the parameters (ctx)",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ] {
        fs::write(&path, code).unwrap();
        let (deployed, said) = deploy(node, &path);
        assert!(!deployed, "{code}");
        assert!(
            said.starts_with("error[invalid-source]") || said.contains("\nerror[invalid-source]"),
            "{said}"
        );
        assert!(said.contains(expected), "{code}\n{said}");
    }
}
