//! What a guest cannot use up: memory, stack, handles, time, the log, the threads it runs on.

use super::{Siege, code, within};
use bytes::Bytes;
use eddy_api::{CallOptions, PageQuery};
use eddy_types::ErrorCode;
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stack_and_handles_have_their_limits() {
    let siege = Siege::with_guest().await;
    let pages = siege.during(3, siege.invoke("grow", Value::Null)).await;
    let pages = pages.expect("it gets some").as_u64().expect("a number");
    assert!(pages <= 2048, "128 MiB are 2048 pages, not {pages}");
    for (function, expected) in [
        ("hog", ErrorCode::MemoryLimit),
        ("recurse", ErrorCode::GuestTrap),
        ("frames", ErrorCode::GuestTrap),
    ] {
        let ended = siege.during(3, siege.invoke(function, Value::Null)).await;
        assert_eq!(code(ended), expected, "{function}");
    }
    // Handles that are never dropped: a few effects, and errors from then on.
    let handles = siege
        .during(3, siege.invoke("handles", json!(10_000)))
        .await;
    let handles = handles.expect("it is told so");
    assert_eq!(handles, json!([256, ["limit-exceeded"]]));

    // Many at once fill what the tenant has, and nothing that is not its own.
    let hogs = join_all((0..24).map(|_| siege.invoke("hog", Value::Null)));
    for ended in siege.during(5, hogs).await {
        let expected = [
            ErrorCode::MemoryLimit,
            ErrorCode::TenantLimit,
            ErrorCode::DeadlineExceeded,
        ];
        assert!(expected.contains(&code(ended)));
    }
    siege.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_has_its_limits_wherever_it_is_spent() {
    let siege = Siege::with_guest().await;
    let all = async {
        let functions = ["spin", "wait", "realloc", "post_return"];
        let functions = functions.map(|name| siege.invoke(name, Value::Null));
        let methods = ["spin", "spin_query", "list"];
        let methods = methods.map(|name| siege.call(name, name, Value::Null));
        let calls = ["now", "env", "random", "wait", "sleep", "call"];
        let calls = calls.map(|what| siege.invoke("calls", json!(what)));
        let snapshot = CallOptions {
            snapshot: true,
            ..within(2)
        };
        let null = Bytes::from_static(b"null");
        let snapshot = siege
            .attacker
            .call("hydra", "x", "spin_query", null, &snapshot);
        // A crowd, so that each processor has some to do.
        let crowd = (0..20).map(|_| siege.invoke("spin", Value::Null));
        let (functions, methods, calls, snapshot, crowd) = futures::join!(
            join_all(functions),
            join_all(methods),
            join_all(calls),
            snapshot,
            join_all(crowd)
        );
        let mut ended: Vec<ErrorCode> = Vec::new();
        for many in [functions, methods, calls, crowd] {
            ended.extend(many.into_iter().map(code));
        }
        ended.push(code(snapshot));
        ended
    };
    for ended in siege.during(20, all).await {
        let expected = [
            ErrorCode::DeadlineExceeded,
            ErrorCode::LimitExceeded,
            ErrorCode::Overloaded,
        ];
        assert!(expected.contains(&ended), "{ended:?}");
    }
    let refused = siege.call("x", "write_in_query", Value::Null).await;
    assert_eq!(refused.expect("it is told"), "write-in-query");
    siege.ends().await;
}

/// A turn that cannot end keeps each processor for a minute. What comes meanwhile is answered before any of them ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_before_those_end_that_hold_every_processor() {
    let siege = Siege::begin().await;
    let mut manifest = super::manifest();
    manifest["defaults"]["functions"]["timeout"] = json!("60s");
    let deployed = siege.deploy(manifest, super::guest()).await;
    deployed.expect("it deploys");
    let spin = || {
        let (null, long) = (Bytes::from_static(b"null"), within(60));
        let attacker = siege.attacker.clone();
        tokio::spawn(async move { attacker.invoke("spin", null, &long).await.map(drop) })
    };
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let spins: Vec<_> = (0..2 * processors).map(|_| spin()).collect();
    let runs = |page: eddy_api::InvocationPage| {
        let running = page.items.into_iter();
        running
            .filter(|one| one.status == eddy_api::InvocationStatus::Running)
            .count()
    };
    let running = async || {
        runs(
            siege
                .attacker
                .invocations(&PageQuery::default())
                .await
                .expect("a page"),
        )
    };
    while running().await < spins.len() {
        siege.is_served().await;
    }
    for _ in 0..20 {
        siege.is_served().await;
    }
    assert_eq!(running().await, spins.len(), "some had ended before");
    assert!(spins.iter().all(|spin| !spin.is_finished()));
    spins.iter().for_each(tokio::task::JoinHandle::abort);
    siege.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_while_memory_and_the_log_are_flooded() {
    let siege = Siege::with_guest().await;
    for attack in [
        (6, "hog", Value::Null),
        (6, "log", json!("lines")),
        // Two that end at once: floods of requests, of which some are refused.
        (24, "look", Value::Null),
        (24, "nothing_of_that_name", Value::Null),
    ] {
        siege.while_attacked(15, attack).await;
    }
    siege.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_of_log_is_64_kib() {
    let siege = Siege::with_guest().await;
    for what in ["lines", "line", "stdout", "stderr", "newlines", "escapes"] {
        let ended = siege.during(2, siege.invoke("log", json!(what))).await;
        assert!(
            ended.is_ok() || code(ended) == ErrorCode::DeadlineExceeded,
            "{what}"
        );
    }
    let page = PageQuery::default();
    let listed = siege.attacker.invocations(&page).await.expect("a page");
    for ran in listed.items {
        let ran = siege
            .attacker
            .invocation(&ran.id)
            .await
            .expect("it is kept");
        let logged: usize = ran.logs.iter().map(|line| line.message.len()).sum();
        assert!(logged <= 65 << 10, "{logged} bytes");
    }
    siege.ends().await;
}
