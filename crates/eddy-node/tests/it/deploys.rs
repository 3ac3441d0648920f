//! Deploys: at the same time, of code that does not come to an end, and over damaged files.

use crate::support::{
    app, call, config, files, invoke, name, start, start_with_own_cache, stop, tenant,
};
use bytes::Bytes;
use eddy_node::{Code, Deployment, Node};
use eddy_types::limits::MAX_COMPONENTS_PER_APP;
use eddy_types::{Digest, ErrorCode, TenantId};
use futures::future::join_all;
use serde_json::json;
use std::fs;
use std::time::Duration;

const HELLO: &str = r#"import { fn } from "eddy"; export const hello = fn(() => "hello");"#;

#[tokio::test]
async fn deploys_at_the_same_time_take_turns() {
    let data = tempfile::tempdir().expect("a folder");
    let node = start(data.path()).await;
    let tenant = tenant();
    let deploys = (0..8).map(|n| {
        let deployment = app("same", HELLO, json!({ "N": n.to_string() }));
        node.deploy(&tenant, deployment)
    });
    let mut versions: Vec<_> = join_all(deploys)
        .await
        .into_iter()
        .map(|deployed| deployed.expect("deployed").version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);

    let other = HELLO.replace("hello =", "wanted =");
    let names: Vec<_> = (0..8).map(|n| format!("rival-{n}")).collect();
    let rivals = names
        .iter()
        .map(|name| node.deploy(&tenant, app(name, &other, json!({}))));
    let rivals = join_all(rivals).await;
    assert_eq!(rivals.iter().filter(|deployed| deployed.is_ok()).count(), 1);
    for refused in rivals.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code, ErrorCode::NameTaken, "{refused}");
    }

    let again = node.deploy(&tenant, app("same", HELLO, json!({ "N": "last" })));
    let same = name("same");
    let (_, removed) = tokio::join!(again, node.delete_app(&tenant, &same));
    removed.expect("removed");
    let served = node.apps(&tenant);
    stop(node).await;
    let node = start(data.path()).await;
    assert_eq!(node.apps(&tenant), served, "what is served is what is kept");
    stop(node).await;
}

#[tokio::test]
async fn code_that_never_starts_is_given_up() {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = config(data.path());
    config.deploy_guest_timeout = Duration::from_millis(300);
    let endless = || app("endless", "for (;;) {}", json!({}));
    let node = Node::start(config.clone()).await.expect("the node starts");
    let error = node
        .deploy(&tenant(), endless())
        .await
        .expect_err("endless");
    assert_eq!(error.code, ErrorCode::DeadlineExceeded, "{error}");
    assert!(error.detail.starts_with("deploy: "), "{error}");
    assert!(error.detail.contains("\"main\""), "{error}");
    assert!(error.hint.is_some());
    assert!(node.apps(&tenant()).is_empty());
    stop(node).await;

    config.deploy_guest_timeout = Duration::from_secs(600);
    let node = Node::start(config).await.expect("the node starts");
    let tenant = tenant();
    let stopped = async {
        // Long enough for the runtime to be loaded and the code to loop.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stopped = node.shutdown(Duration::from_secs(60));
        let stopped = tokio::time::timeout(Duration::from_secs(30), stopped).await;
        stopped
            .expect("the deploy does not hold it up")
            .expect("it stops");
    };
    let (deployed, ()) = tokio::join!(node.deploy(&tenant, endless()), stopped);
    let error = deployed.expect_err("stopped");
    assert_eq!(error.code, ErrorCode::ShuttingDown, "{error}");
}

#[tokio::test]
async fn all_components_of_an_app_start_in_one_time() {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = config(data.path());
    config.deploy_guest_timeout = Duration::from_secs(2);
    let node = Node::start(config).await.expect("the node starts");
    // Each is in time, and all of them are not.
    let slow = "for (const began = Date.now(); Date.now() < began + 300;) {}";
    let mut many = app("many", "", json!({}));
    many.components = (0..10)
        .map(|n| {
            let source = HELLO.replace("hello =", &format!("hello{n} ="));
            let mut part = app("many", &format!("{source} {slow}"), json!({})).components;
            (name(&format!("part{n}")), part.remove(0).1)
        })
        .collect();
    let error = node.deploy(&tenant(), many).await.expect_err("too slow");
    assert_eq!(error.code, ErrorCode::DeadlineExceeded, "{error}");
    assert!(error.detail.starts_with("deploy: "), "{error}");

    let mut many = app("many", "", json!({}));
    let code = many.components.remove(0).1;
    let parts = (0..=MAX_COMPONENTS_PER_APP).map(|n| (name(&format!("part{n}")), code.clone()));
    many.components = parts.collect();
    let error = node.deploy(&tenant(), many).await.expect_err("too many");
    assert_eq!(error.code, ErrorCode::InvalidManifest, "{error}");
    stop(node).await;
}

#[tokio::test]
async fn what_an_app_says_counts_as_storage() {
    let data = tempfile::tempdir().expect("a folder");
    let node = start(data.path()).await;
    let operator = node.session(None, None).expect("nobody asks for a token");
    let small = TenantId::new("small").expect("a tenant");
    let limit = async |bytes| {
        let set = node.set_tenant(&operator, &small, move |mut spec| {
            spec.limits.storage = Some(bytes);
            spec
        });
        set.await.expect("set");
    };
    let env = json!({ "TEXT": "x".repeat(100_000) });
    limit(100_000).await;
    let error = node.deploy(&small, app("shop", HELLO, env.clone())).await;
    let error = error.expect_err("it does not fit");
    assert_eq!(error.code, ErrorCode::StorageLimit, "{error}");
    limit(1_000_000).await;
    let deployed = node.deploy(&small, app("shop", HELLO, env)).await;
    deployed.expect("it fits");
    // It is counted where that matters.
    limit(100_000).await;
    for _ in 0..300 {
        let info = node.tenant(&operator, &small).expect("there");
        if info.storage.is_some_and(|bytes| bytes > 100_000) {
            return stop(node).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not counted");
}

#[tokio::test]
async fn a_deploy_reads_nothing_of_other_apps() {
    let data = tempfile::tempdir().expect("a folder");
    let node = start(data.path()).await;
    let other = data.path().join("apps/other");
    fs::create_dir_all(&other).expect("a folder");
    fs::write(other.join("app.json"), "unreadable").expect("writable");
    for source in [HELLO, &HELLO.replace("\"hello\"", "\"hi\"")] {
        let shop = app("shop", source, json!({}));
        node.deploy(&tenant(), shop).await.expect("deployed");
    }
    let left = files(&data.path().join("components"));
    assert_eq!(left.len(), 1, "the first version's code is gone: {left:?}");
    stop(node).await;
}

#[tokio::test]
async fn a_deploy_replaces_damaged_code() {
    let data = tempfile::tempdir().expect("a folder");
    let components = data.path().join("components");
    let node = start(data.path()).await;
    let deploy = || app("shop", HELLO, json!({}));
    node.deploy(&tenant(), deploy()).await.expect("deployed");
    let [file] = &files(&components)[..] else {
        panic!("one component")
    };
    let file = components.join(file);
    let good = fs::read(&file).expect("readable");

    let stored = data.path().join("apps/default/shop.json");
    let good_app = fs::read(&stored).expect("readable");
    fs::write(&stored, "damage").expect("writable");
    fs::write(&file, "damage").expect("writable");
    let app = node.deploy(&tenant(), deploy()).await.expect("deployed");
    assert_eq!(app.version, 1, "nothing has changed");
    assert_eq!(fs::read(&file).expect("readable"), good);
    assert_eq!(fs::read(&stored).expect("readable"), good_app);
    stop(node).await;

    fs::write(&file, "damage").expect("writable");
    let node = start(data.path()).await;
    let error = invoke(&node, "hello").await.expect_err("damaged");
    assert_eq!(error.code, ErrorCode::AppUnavailable, "{error}");
    assert!(error.detail.contains("store-failed"), "{error}");
    let app = node.deploy(&tenant(), deploy()).await.expect("deployed");
    assert_eq!(app.version, 1, "nothing has changed");
    assert_eq!(fs::read(&file).expect("readable"), good);
    assert_eq!(invoke(&node, "hello").await.expect("healed"), "\"hello\"");
    stop(node).await;
}

#[tokio::test]
async fn files_that_no_app_names_are_removed() {
    const GUEST: &[u8] = include_bytes!("../../../eddy-wasm/assets/bench-guest.wasm");
    let data = tempfile::tempdir().expect("a folder");
    let (components, cache) = (data.path().join("components"), data.path().join("cache"));
    let node = start_with_own_cache(data.path()).await;
    // The guest has a function `hello` itself.
    let source = HELLO.replace("hello =", "greet =");
    let first = app("shop", &source, json!({}));
    node.deploy(&tenant(), first).await.expect("deployed");
    let runtime = files(&cache);
    let native = Deployment {
        manifest: serde_json::from_value(json!({ "name": "native" })).expect("a manifest"),
        components: vec![(name("main"), Code::Wasm(Bytes::from_static(GUEST)))],
    };
    node.deploy(&tenant(), native).await.expect("deployed");
    let (old, cached) = (files(&components), files(&cache));
    assert_eq!((old.len(), cached.len()), (2, 2));
    let second = app("shop", &source.replace("\"hello\"", "\"hi\""), json!({}));
    node.deploy(&tenant(), second).await.expect("deployed");
    let new = files(&components);
    assert_eq!(new.len(), 2, "the first version's code is gone: {new:?}");
    assert_ne!(new, old);
    call(&node, "counter", "increment").await.expect("stays");
    let native = name("native");
    node.delete_app(&tenant(), &native).await.expect("deleted");
    assert_eq!(files(&components).len(), 1);
    assert_eq!(files(&cache), runtime);
    stop(node).await;

    let left = files(&components);
    let nobody = Digest::of(b"nobody");
    let engine = runtime[0].split_once('-').expect("DIGEST-ENGINE.cwasm").1;
    let strays = [
        components.join(nobody.to_string()),
        components.join("x.1-2.tmp"),
        data.path().join("apps/default/shop.json.1-2.tmp"),
        cache.join(format!("{nobody}-{engine}")),
        cache.join(runtime[0].replace(engine, "0123456789abcdef.cwasm")),
    ];
    for stray in &strays {
        fs::write(stray, "stray").expect("writable");
    }
    let node = start_with_own_cache(data.path()).await;
    assert_eq!((files(&components), files(&cache)), (left, runtime));
    assert!(strays.iter().all(|stray| !stray.exists()));
    assert_eq!(invoke(&node, "greet").await.expect("it runs"), "\"hi\"");
    stop(node).await;
}

const SLOW: &str = r#"
import { agent, fn } from "eddy";
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
export const slow = agent({
  async work(ctx) { ctx.state.set("done", true); await pause(600000); },
  done: (ctx) => ctx.state.get("done") ?? false,
});
export const job = fn(async () => { await pause(3000); return "old"; });
"#;

#[tokio::test]
async fn a_redeploy_gives_a_running_turn_its_grace_and_a_function_its_end() {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = config(data.path());
    config.redeploy_grace = Duration::from_millis(300);
    let node = Node::start(config).await.expect("the node starts");
    node.deploy(&tenant(), app("slow", SLOW, json!({})))
        .await
        .expect("deployed");
    let redeploy = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let newer = SLOW.replace("\"old\"", "\"new\"");
        node.deploy(&tenant(), app("slow", &newer, json!({})))
            .await
            .expect("deployed");
    };
    let (turn, job, ()) = tokio::join!(call(&node, "slow", "work"), invoke(&node, "job"), redeploy);
    assert_eq!(turn.expect_err("aborted").code, ErrorCode::TurnAborted);
    assert_eq!(job.as_deref(), Ok("\"old\""));
    assert_eq!(call(&node, "slow", "done").await.as_deref(), Ok("false"));
    assert_eq!(invoke(&node, "job").await.as_deref(), Ok("\"new\""));
    stop(node).await;
}

#[tokio::test]
async fn a_query_that_a_redeploy_made_a_method_is_to_be_tried_again() {
    const FIRST: &str = r#"
import { agent, query } from "eddy";
export const change = agent({
  slow: () => new Promise((done) => setTimeout(done, 1500)),
  m: query(() => "query"),
});
"#;
    let data = tempfile::tempdir().expect("a folder");
    let node = start(data.path()).await;
    node.deploy(&tenant(), app("change", FIRST, json!({})))
        .await
        .expect("deployed");
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // It waits behind the slow turn, and begins after the redeploy.
        let waiting = call(&node, "change", "m");
        let redeploy = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let newer = FIRST.replace("query(() => \"query\")", "(ctx) => ctx.state.set('n', 1)");
            node.deploy(&tenant(), app("change", &newer, json!({})))
                .await
                .expect("deployed");
        };
        tokio::join!(waiting, redeploy).0
    };
    let (slow, waiting) = tokio::join!(call(&node, "change", "slow"), later);
    slow.expect("it had its grace");
    let error = waiting.expect_err("it is no query any more");
    assert_eq!(error.code, ErrorCode::TurnAborted, "{error}");
    call(&node, "change", "m").await.expect("again");
    stop(node).await;
}
