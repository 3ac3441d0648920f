//! Two tenants that hammer one node at once, with the same names of everything: each sees and is told what it would
//! be if it had the node for itself.

use crate::tenants::{good, guarded, with};
use bytes::Bytes;
use eddy_api::{CallOptions, Client, Credentials, LogQuery, PageQuery};
use eddy_types::EddyError;
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const ROUNDS: u64 = 8;
/// The tenants. In no digest and no id, which are hex digits.
const ZOE: &str = "zoe";
const KIM: &str = "kim";

const MANIFEST: &str = "name = \"shop\"\n[agents.stock.retries]\nattempts = 1\n";

const CODE: &str = r#"
import { agent, fn, query, EddyError } from "eddy";
const OWN = "OWNER";
export const cart = agent({
  add(ctx) {
    const n = (ctx.state.get("n") ?? 0) + 1;
    ctx.state.set("n", n);
    ctx.log(OWN, "adds", n, "to", ctx.self.key);
    ctx.send("stock", ctx.self.key, "take", n);
    ctx.after(20, "later", null, { name: `timer${n}` });
    return [OWN, n];
  },
  later(ctx) { ctx.state.set("later", (ctx.state.get("later") ?? 0) + 1); },
  lose(ctx) { ctx.send("stock", ctx.self.key, "refuse", OWN); },
  fail() { throw new EddyError("sold-out", `${OWN} has none`, { status: 409 }); },
  value: query((ctx) => [OWN, ctx.state.get("n")]),
});
export const stock = agent({
  take(ctx, n) { ctx.state.set("taken", (ctx.state.get("taken") ?? 0) + n); },
  refuse() { throw new Error(`${OWN} refuses`); },
});
export const greet = fn(async (ctx, key) => {
  ctx.log(OWN, "greets", key);
  return await ctx.call("cart", key, "value");
});
export const only_OWNER = fn(() => OWN);
"#;

/// A tenant with its app.
struct Tenant {
    name: &'static str,
    other: &'static str,
    client: Client,
    token: String,
    url: String,
}

impl Tenant {
    fn new(node: &crate::node::Node, operator: &str, name: &'static str, dir: &Path) -> Self {
        good(with(node, operator, &["tenant", "set", name]));
        let create = ["--tenant", name, "token", "create", "--role", "admin"];
        let token = good(with(node, operator, &create));
        let app = dir.join(name);
        std::fs::create_dir(&app).unwrap();
        std::fs::write(app.join("eddy.toml"), MANIFEST).unwrap();
        std::fs::write(app.join("index.ts"), CODE.replace("OWNER", name)).unwrap();
        good(with(node, &token, &["deploy", app.to_str().unwrap()]));
        let credentials = Credentials {
            token: Some(token.clone()),
            ..Credentials::default()
        };
        Self {
            name,
            other: if name == ZOE { KIM } else { ZOE },
            client: Client::with(&node.url, &credentials).unwrap(),
            token,
            url: node.url.clone(),
        }
    }

    /// Everything it asks for, on all keys at once, and what it is told.
    async fn hammers(&self) -> BTreeMap<&'static str, Vec<Value>> {
        let all = KEYS.map(async |key| {
            let mut told = Vec::new();
            for _ in 0..ROUNDS {
                for method in ["add", "fail", "ad"] {
                    told.push(self.call("cart", key, method).await);
                }
                told.push(self.call(self.other, key, "add").await);
                told.push(self.invoke("greet", &json!(key)).await);
                let theirs = format!("only_{}", self.other);
                told.push(self.invoke(&theirs, &Value::Null).await);
            }
            told.push(self.call("cart", key, "lose").await);
            (key, told)
        });
        join_all(all).await.into_iter().collect()
    }

    async fn call(&self, agent_type: &str, key: &str, method: &str) -> Value {
        let (null, options) = (Bytes::from_static(b"null"), CallOptions::default());
        let called = self.client.call(agent_type, key, method, null, &options);
        said(called.await.map(|answer| answer.result))
    }

    async fn invoke(&self, function: &str, argument: &Value) -> Value {
        let (argument, options) = (Bytes::from(argument.to_string()), CallOptions::default());
        let invoked = self.client.invoke(function, argument, &options);
        said(invoked.await.map(|answer| answer.result))
    }

    /// Waits for what goes on by itself: sends, timers, dead letters.
    async fn settles(&self) {
        for _ in 0..600 {
            let mut settled = self.letters().await.len() == KEYS.len();
            for key in KEYS {
                let (cart, stock) = (
                    self.state("cart", key).await,
                    self.state("stock", key).await,
                );
                settled &= cart["later"]["json"] == ROUNDS;
                settled &= stock["taken"]["json"] == (1..=ROUNDS).sum::<u64>();
            }
            if settled {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} never comes to rest", self.name);
    }

    /// The state of an agent by key; nothing runs for it.
    async fn state(&self, agent_type: &str, key: &str) -> Value {
        let Ok(document) = self.client.export_agent(agent_type, key).await else {
            return Value::Null;
        };
        let document: Value = serde_json::from_slice(&document).unwrap();
        document["state"].clone()
    }

    async fn letters(&self) -> Vec<Value> {
        let page = self.client.dead_letters(&page()).await.unwrap();
        page.items.iter().map(plain).collect()
    }

    /// All that it can see of the node.
    async fn sees(&self) -> Value {
        let client = &self.client;
        let mut agents = Vec::new();
        for agent_type in ["cart", "stock"] {
            let listed = client.agents(agent_type, "", &page()).await.unwrap();
            agents.push(plain(&listed.items));
        }
        let mut invocations = Vec::new();
        let listed = client.invocations(&page()).await.unwrap();
        assert!(listed.next.is_none(), "more than a page");
        for one in listed.items {
            invocations.push(plain(&client.invocation(&one.id).await.unwrap()));
        }
        let logs = client.logs(&LogQuery::default(), &page()).await.unwrap();
        let mut logs: Vec<_> = logs.items.iter().map(plain).collect();
        let mut letters = self.letters().await;
        for list in [&mut invocations, &mut logs, &mut letters] {
            list.sort_by_key(Value::to_string);
        }
        let listed = with_json(self, &["tenant", "list"]);
        json!({
            "apps": plain(&client.apps().await.unwrap()),
            "agents": agents,
            "invocations": invocations,
            "logs": logs,
            "letters": letters,
            "tenants": plain(&listed),
            "tokens": plain(&with_json(self, &["token", "list"])),
            "metrics": self.metrics(),
        })
    }

    /// What it stores, once that was counted.
    async fn stores(&self) -> u64 {
        let mut before = None;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let shown = with_json(self, &["tenant", "list"]);
            let now = shown["items"][0]["usage"]["storage_bytes"].as_u64();
            if now.is_some() && now == before {
                break;
            }
            before = now;
        }
        before.expect("it is counted")
    }

    /// What `/metrics`, which is of the whole node, answers.
    fn metrics(&self) -> String {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let token = &self.token;
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

fn page() -> PageQuery {
    PageQuery {
        limit: Some(1000),
        ..PageQuery::default()
    }
}

fn said(answer: Result<Bytes, EddyError>) -> Value {
    match answer {
        Ok(result) => serde_json::from_slice(&result).unwrap(),
        Err(error) => json!([error.code.as_str(), error.detail, error.hint]),
    }
}

fn with_json(tenant: &Tenant, args: &[&str]) -> Value {
    let args = [&["--json"], args].concat();
    let mut command = crate::binary::command(&args);
    command
        .env("EDDY_URL", &tenant.url)
        .env("EDDY_TOKEN", &tenant.token);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A document without what differs from run to run: ids, times, what depends on how busy the node is.
fn plain(document: &impl Serialize) -> Value {
    const DIFFERS: [&str; 16] = [
        "id",
        "invocation",
        "at",
        "queued",
        "started",
        "ended",
        "created",
        "updated",
        "deployed",
        "run_us",
        "memory_bytes",
        "cold",
        "active",
        "digest",
        "usage",
        "last_used",
    ];
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !DIFFERS.contains(&name.as_str()));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(document).unwrap();
    strip(&mut value);
    value
}

/// What one of them sees, as the other one would: with the names exchanged.
fn as_the_other(seen: &Value) -> Value {
    let text = seen.to_string().replace(ZOE, "\u{1}");
    let text = text.replace(KIM, ZOE).replace('\u{1}', KIM);
    let mut seen: Value = serde_json::from_str(&text).unwrap();
    // Their order may be another one now.
    for list in ["invocations", "logs", "letters"] {
        if let Some(items) = seen.get_mut(list).and_then(Value::as_array_mut) {
            items.sort_by_key(Value::to_string);
        }
    }
    seen
}

/// Both are the same; else shows the first line that is not.
fn same(beside: &Value, alone: &Value) {
    let [beside, alone] = [beside, alone].map(|seen| serde_json::to_string_pretty(seen).unwrap());
    for (n, (beside, alone)) in beside.lines().zip(alone.lines()).enumerate() {
        assert_eq!(beside, alone, "line {n}");
    }
    assert_eq!(beside.len(), alone.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_that_hammer_a_node_stay_invisible_to_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (node, operator) = guarded(&folder("alone-data"));
    let alone = Tenant::new(&node, &operator, ZOE, &folder("alone"));
    let told_alone = json!(alone.hammers().await);
    alone.settles().await;
    let (seen_alone, stored_alone) = (alone.sees().await, alone.stores().await);
    drop(node);
    // It is a comparison with something.
    assert_eq!(told_alone["a"][0], json!([ZOE, 1]));
    assert_eq!(
        seen_alone["letters"].as_array().map(Vec::len),
        Some(KEYS.len())
    );
    assert!(
        seen_alone["logs"]
            .as_array()
            .is_some_and(|logs| logs.len() >= 64)
    );
    assert!(
        seen_alone["metrics"]
            .as_str()
            .is_some_and(|line| line.contains("403"))
    );

    let (node, operator) = guarded(&folder("data"));
    let both = folder("both");
    let zoe = Tenant::new(&node, &operator, ZOE, &both);
    let kim = Tenant::new(&node, &operator, KIM, &both);
    let (told_zoe, told_kim) = tokio::join!(zoe.hammers(), kim.hammers());
    zoe.settles().await;
    kim.settles().await;
    same(&json!(told_zoe), &told_alone);
    same(&as_the_other(&json!(told_kim)), &told_alone);
    same(&zoe.sees().await, &seen_alone);
    same(&as_the_other(&kim.sees().await), &seen_alone);
    // Bytes on disk differ by the lengths of times; those of another tenant would be as many again.
    for stored in [zoe.stores().await, kim.stores().await] {
        let most = stored_alone + stored_alone / 5;
        assert!(stored <= most, "{stored} bytes, and alone {stored_alone}");
    }
}
