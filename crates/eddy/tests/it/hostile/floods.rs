//! Attacks by mass: what multiplies by itself, and what fills the queues that tenants share.

use super::{Siege, guest, manifest};
use eddy_api::NewToken;
use eddy_types::limits::DEFAULT_SHARDS;
use eddy_types::{AgentId, EddyError, ErrorCode, Key, Name, ShardMap, TenantId};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_multiplies_leaves_room_for_others() {
    let siege = Siege::with_guest().await;
    let all = async {
        // Sends that make two of each, and timers that set timers: they go on by themselves. First, because an
        // attacker stands in line behind what it has asked for before.
        let bombs = join_all((0..4).map(|n| {
            let siege = &siege;
            async move { siege.call(&format!("bomb{n}"), "bomb", Value::Null).await }
        }));
        let timers = siege.call("timers", "timers", Value::Null);
        let began = futures::join!(bombs, timers);
        // Functions that invoke themselves, agents that call a tree of agents, and a long chain.
        let forks = siege.invoke("fork", json!(50));
        let fans = siege.call("root", "fan", json!(100));
        let nest = siege.call("0", "nest", Value::Null);
        (began, futures::join!(forks, fans, nest))
    };
    let ((bombs, timers), (_, _, nest)) = Box::pin(siege.during(30, all)).await;
    if let Ok(nest) = nest {
        let depth = nest[0].as_u64().expect("where it ended");
        assert!(depth <= 33, "{nest}");
    }
    assert!(bombs.iter().any(Result::is_ok), "{bombs:?}");
    // Its own flood may keep an attacker from its answer, within its time.
    if let Err(error) = timers {
        assert_eq!(error.code, ErrorCode::DeadlineExceeded, "{error}");
    }
    // They are still at it.
    siege.during(30, async {}).await;
    siege.ends().await;
}

/// Everything in one shard: messages that wait, sends that do not settle, state in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shard_has_room_for_another_tenant() {
    let siege = Siege::begin().await;
    let mut manifest = manifest();
    manifest["agents"] = json!({"hydra": {"durability": "none", "timeout": "60s"}});
    siege.deploy(manifest, guest()).await.expect("it deploys");
    let tag = shared_tag();

    // An agent that takes no message for as long as this lasts, and others that send to it without end.
    let (attacker, blocked) = (siege.attacker.clone(), format!("{{{}}}b", tag));
    let block = tokio::spawn(async move {
        let null = bytes::Bytes::from_static(b"null");
        let long = super::within(60);
        attacker.call("hydra", &blocked, "block", null, &long).await
    });
    let call = async |key: String, method: &str, argument: Value| {
        let (argument, long) = (bytes::Bytes::from(argument.to_string()), super::within(60));
        let called = siege.attacker.call("hydra", &key, method, argument, &long);
        called.await.map(drop)
    };
    let posts = (0..90).map(|n| {
        let post =
            json!({"to": format!("{{{tag}}}b"), "method": "read", "sends": 2, "bytes": 450_000});
        call(format!("{{{tag}}}{n}"), "post", post)
    });
    let state = (0..90).map(|n| {
        let fill = json!({"name": "x", "bytes": 890_000});
        call(format!("{{{tag}}}v{n}"), "fill", fill)
    });
    let fill = Box::pin(async { futures::join!(join_all(posts), join_all(state)) });
    let (posts, state) = siege.during(3, fill).await;
    let full = |ended: &[Result<(), EddyError>]| {
        let refused = ended.iter().filter_map(|ended| ended.as_ref().err());
        let codes: Vec<ErrorCode> = refused.map(|error| error.code).collect();
        assert!(
            codes.contains(&ErrorCode::Overloaded),
            "it was never full: {codes:?}"
        );
    };
    full(&posts);
    full(&state);

    // The innocent one's own agent in that shard sends, receives and commits all the same.
    let innocent = |key: &str, method: &str, argument: Value| {
        let (client, key, method) = (&siege.innocent, key.to_owned(), method.to_owned());
        let argument = bytes::Bytes::from(argument.to_string());
        async move {
            let options = super::within(20);
            client
                .call("counter", &key, &method, argument, &options)
                .await
        }
    };
    let from = format!("{{{}}}from", tag);
    let to = format!("{{{}}}to", tag);
    for n in 1..=5 {
        let left = innocent(&from, "transfer", json!({"to": to, "amount": 1})).await;
        assert_eq!(left.expect("it sends").result, format!("-{n}"));
    }
    let mut balance = bytes::Bytes::new();
    for _ in 0..200 {
        balance = innocent(&to, "balance", Value::Null)
            .await
            .expect("it answers")
            .result;
        if balance == "5" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(balance, "5", "what was sent arrives");
    assert!(!block.is_finished(), "the shard was full all the while");
    siege.ends().await;
}

/// A tag of keys whose shard is the same for both tenants: a shard is told by tenant and key together, so
/// that one has to be looked for as an attacker would.
fn shared_tag() -> String {
    let map = ShardMap::new(DEFAULT_SHARDS);
    let shard = |tenant: &str, tag: &str| {
        let key = Key::new(&format!("{{{tag}}}x")).expect("a key");
        let name = Name::new("hydra").expect("a name");
        let tenant = TenantId::new(tenant).expect("a tenant");
        map.shard_of_agent(&AgentId::new(tenant, name, key))
    };
    let mut tags = (0..).map(|n| format!("t{n}"));
    let tag = tags.find(|tag| shard("attacker", tag) == shard("innocent", tag));
    tag.expect("one in sixteen is")
}

/// Exports that nobody reads: each holds what it is until it was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_that_are_not_read_leave_room_for_others() {
    let siege = Siege::with_guest().await;
    for n in 0..16 {
        let fill = json!({"name": format!("x{n}"), "bytes": 890_000});
        siege.call("large", "fill", fill).await.expect("it fits");
    }
    let admin = NewToken {
        tenant: Some("attacker".to_owned()),
        role: "admin".to_owned(),
        name: String::new(),
        expires_in: None,
    };
    let admin = siege.operator.create_token(&admin).await.expect("a token");
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(export_unread(&siege, &admin.token).await);
    }
    let had = unread.iter().filter(|(_, status)| *status == 200).count();
    assert_eq!(had, 3, "a half of it all");
    siege.during(3, async {}).await;
    let own = siege.innocent.export_agent("counter", "own").await;
    own.expect("the innocent one's agent is exported");
    siege.ends().await;
}

/// Exports the large agent and reads the status; the connection takes next to nothing more.
async fn export_unread(siege: &Siege, token: &str) -> (TcpStream, u16) {
    let address = siege.node.url.strip_prefix("http://").expect("plain HTTP");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = address.trim_end_matches('/').parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("the node listens");
    let request = format!(
        "GET /v1/state/hydra/large HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it goes out");
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.expect("an answer");
    let status = std::str::from_utf8(&head[9..]).expect("a status");
    (stream, status.parse().expect("a number"))
}
