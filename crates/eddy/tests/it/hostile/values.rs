//! Values that a guest hands out: results, errors, names, and what they tell of others.

use super::{Siege, code};
use eddy_types::{EddyError, ErrorCode};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The status line of a call of the attacker, as it is on the wire.
fn status_of(siege: &Siege, token: &str, path: &str, body: &str) -> u16 {
    let address = siege.node.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the node listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("it answers in UTF-8");
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.expect("a status line")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_errors_are_what_they_may_be() {
    let siege = Siege::with_guest().await;
    for what in [
        "not-utf8",
        "surrogate",
        "empty",
        "nan",
        "two",
        "nul",
        "open",
    ] {
        let ended = siege.invoke("returns", json!(what)).await;
        assert_eq!(code(ended), ErrorCode::InvalidResult, "{what}");
    }
    for what in ["huge", "large"] {
        let ended = siege.during(2, siege.invoke("returns", json!(what))).await;
        assert_eq!(code(ended), ErrorCode::PayloadTooLarge, "{what}");
    }
    // JSON that few can read is the caller's to read.
    for what in ["nested", "keys"] {
        let ended = siege.during(2, siege.invoke("returns", json!(what))).await;
        assert!(ended.is_ok(), "{what}: {ended:?}");
    }
    for what in ["long", "details", "no-details", "memory"] {
        let ended = siege.during(2, siege.invoke("fails", json!(what))).await;
        let error = ended.expect_err("it failed");
        assert_eq!(error.code, ErrorCode::GuestError, "{what}");
        let guest = error.guest.as_ref().expect("whose error it is");
        let text = error.detail.len()
            + guest.name.len()
            + guest.stack.iter().map(String::len).sum::<usize>();
        assert!(text <= 64 << 10, "{what}: {text} bytes");
    }
    assert_eq!(
        code(siege.invoke("fails", json!("huge")).await),
        ErrorCode::PayloadTooLarge
    );

    // A guest does not speak for the node, nor ask for a status that is none.
    for forged in [
        "unauthenticated",
        "permission-denied",
        "tenant-limit",
        "shutting-down",
        "internal",
    ] {
        let error = siege
            .invoke("fails", json!(forged))
            .await
            .expect_err("it failed");
        assert_eq!(error.code, ErrorCode::GuestError, "{forged}");
    }
    let token = new_token(&siege).await;
    for status in ["0", "99", "100", "200", "301", "600", "999", "65535"] {
        let got = status_of(
            &siege,
            &token,
            "/v1/functions/fails",
            &json!(status).to_string(),
        );
        assert!((400..600).contains(&got), "{status} became {got}");
    }
    siege.ends().await;
}

async fn new_token(siege: &Siege) -> String {
    let call = eddy_api::NewToken {
        tenant: Some("attacker".to_owned()),
        role: "call".to_owned(),
        name: String::new(),
        expires_in: None,
    };
    siege
        .operator
        .create_token(&call)
        .await
        .expect("a token")
        .token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_is_addressed_whatever_an_address_says() {
    let siege = Siege::with_guest().await;
    siege.is_served().await;
    let names = [
        "counter",
        "innocent/counter",
        "../innocent/counter",
        "hydra\0counter",
        "",
        "HYDRA",
        "hydra/../counter",
        "x".repeat(70).as_str(),
    ]
    .map(str::to_owned);
    for agent_type in names {
        for key in [
            "own",
            "innocent/own",
            "a\0b",
            "../own",
            "",
            "\u{202e}own",
            &"k".repeat(300),
        ] {
            let to = json!({"agent_type": agent_type, "key": key, "method": "increment"});
            let told = siege
                .invoke("address", to.clone())
                .await
                .expect("it is told");
            let told: [String; 3] = serde_json::from_value(told).expect("three codes");
            for code in told {
                let refused = [
                    "unknown-agent-type",
                    "unknown-function",
                    "invalid-name",
                    "unknown-method",
                ];
                assert!(refused.contains(&code.as_str()), "{to}: {code}");
            }
        }
    }
    // The innocent one's counter stands where it stood.
    siege.is_served().await;

    // Names that another tenant has and names that nobody has: the same errors, to the byte.
    let client = &siege.attacker;
    let options = eddy_api::CallOptions::default();
    let null = || bytes::Bytes::from_static(b"null");
    let same = |theirs: EddyError, nobodys: EddyError, (has, none): (&str, &str)| {
        assert_eq!(theirs.to_string().replace(has, none), nobodys.to_string());
        assert_eq!(
            format!("{theirs:?}").replace(has, none),
            format!("{nobodys:?}")
        );
    };
    let invoke = async |name: &str| client.invoke(name, null(), &options).await.map(drop);
    let call = async |name: &str| {
        client
            .call(name, "own", "increment", null(), &options)
            .await
            .map(drop)
    };
    let agent = async |name: &str| client.agent(name, "own").await.map(drop);
    let app = async |name: &str| client.app(name).await.map(drop);
    let gone = async |name: &str| client.delete_app(name).await.map(drop);
    let tenant = async |name: &str| client.tenant(name).await.map(drop);
    let pairs = [
        (
            invoke("hello").await,
            invoke("hallo").await,
            ("hello", "hallo"),
        ),
        (
            call("counter").await,
            call("caunter").await,
            ("counter", "caunter"),
        ),
        (
            agent("counter").await,
            agent("caunter").await,
            ("counter", "caunter"),
        ),
        (app("bench").await, app("banch").await, ("bench", "banch")),
        (gone("bench").await, gone("banch").await, ("bench", "banch")),
        (
            tenant("innocent").await,
            tenant("innacent").await,
            ("innocent", "innacent"),
        ),
    ];
    for (theirs, nobodys, names) in pairs {
        same(
            theirs.expect_err("not its own"),
            nobodys.expect_err("nobody's"),
            names,
        );
    }
    let apps = client.apps().await.expect("its own");
    assert_eq!(apps.items.len(), 1);
    let listed = client
        .invocations(&eddy_api::PageQuery::default())
        .await
        .expect("its own");
    let shown = serde_json::to_string(&listed.items).expect("plain data");
    assert!(
        !shown.contains("counter") && !shown.contains("hello"),
        "{shown}"
    );
    assert_eq!(
        siege
            .invoke("fails", Value::Null)
            .await
            .expect_err("no text")
            .code,
        ErrorCode::GuestError
    );
    siege.ends().await;
}
