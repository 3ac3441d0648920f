//! The real binary under load, killed again and again over a journal that loses what was not
//! flushed: everything acknowledged is there, nothing twice, and no money is lost or made.

use crate::node::{Node, Setup, bench_guest, insist};
use eddy_api::Client;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const AGENTS: usize = 100;
const START_BALANCE: i64 = 1_000;
const WORKERS: usize = 12;

/// What the clients were told, by agent.
struct Told {
    increments: Vec<AtomicU64>,
    stop: AtomicBool,
}

/// Load and kills; then the books are checked.
async fn crash_run(fault: &str, kills: usize, seed: u64) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let guest = bench_guest();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let env = vec![("EDDY_FAULT_FS", fault)];
    let first = Setup {
        app: Some(&guest),
        env: env.clone(),
        listen: None,
        ..Setup::default()
    };
    let mut node = Node::with(dir.path(), &first);
    // The same address each time, so that clients find the node again.
    let listen = node
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let again = Setup {
        app: None,
        env,
        listen: Some(listen),
        ..Setup::default()
    };
    let client = node.client.clone();
    for agent in 0..AGENTS {
        let argument = format!(r#"{{"amount":{START_BALANCE}}}"#);
        let (who, key) = (name(agent), format!("open-{agent}"));
        let opened = insist(&client, &who, "deposit", &argument, &key);
        opened.await.map_err(|error| error.to_string())?;
    }
    let told = Arc::new(Told {
        increments: (0..AGENTS).map(|_| AtomicU64::new(0)).collect(),
        stop: AtomicBool::new(false),
    });
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| tokio::spawn(work(client.clone(), told.clone(), worker, rng.next_u64())))
        .collect();
    for _ in 0..kills {
        let pause = rng.random_range(100..600);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        node.kill();
        node = Node::start(dir.path(), &again)
            .map_err(|(status, log)| format!("the node does not start again: {status}\n{log}"))?;
    }
    told.stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.map_err(|error| error.to_string())??;
    }
    check(&node, &told).await
}

fn name(agent: usize) -> String {
    format!("counter/a{agent}")
}

/// Increments and transfers, each with a key of its own and repeated until it is answered.
async fn work(client: Client, told: Arc<Told>, worker: usize, seed: u64) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for n in 0.. {
        if told.stop.load(Ordering::SeqCst) {
            break;
        }
        let agent = rng.random_range(0..AGENTS);
        let key = format!("w{worker}-{n}");
        if rng.random_bool(0.5) {
            let done = insist(&client, &name(agent), "increment", "null", &key).await;
            done.map_err(|error| error.to_string())?;
            told.increments[agent].fetch_add(1, Ordering::SeqCst);
        } else {
            let to = (agent + 1 + rng.random_range(0..AGENTS - 1)) % AGENTS;
            let argument = format!(r#"{{"to":"a{to}","amount":{}}}"#, rng.random_range(1..50));
            let done = insist(&client, &name(agent), "transfer", &argument, &key).await;
            done.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

async fn check(node: &Node, told: &Told) -> Result<(), String> {
    for agent in 0..AGENTS {
        let value = node
            .call(&name(agent), "value", "null")
            .await
            .map_err(|e| e.to_string())?;
        let expected = format!(
            r#"{{"n":{}}}"#,
            told.increments[agent].load(Ordering::SeqCst)
        );
        if value != expected {
            return Err(format!(
                "{} has {value}, but clients were told {expected}",
                name(agent)
            ));
        }
    }
    let wanted = AGENTS as i64 * START_BALANCE;
    let mut sum = 0;
    // Sends settle on their own; the bound is generous because the machine may be slow.
    for _ in 0..600 {
        sum = 0;
        for agent in 0..AGENTS {
            let balance = node
                .call(&name(agent), "balance", "null")
                .await
                .map_err(|e| e.to_string())?;
            sum += balance.parse::<i64>().map_err(|error| error.to_string())?;
        }
        if sum == wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("the accounts hold {sum}, not {wanted}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_done_twice_over_twenty_kills() {
    crash_run("buffer", 20, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_flush_taken_out_the_same_run_fails() {
    let failed = crash_run("lie", 5, 2).await;
    assert!(
        failed.is_err(),
        "a journal that never flushes must be noticed"
    );
}
