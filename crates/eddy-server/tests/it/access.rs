//! Tokens and tenants over the wire: who gets in, what each role may do, and what nobody learns.

use crate::wire::{Answer, Running};
use bytes::Bytes;
use eddy_link::{Config, Fate, Operation, Request, Token};
use eddy_types::{ErrorCode, Role};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A node with an operator's token and the tenants `shop` and `bank`.
struct Guarded {
    server: Running,
    operator: String,
}

impl Guarded {
    async fn start() -> Self {
        let server = Running::start().await;
        let made = post(&server, "", "/v1/tokens", &json!({"role": "operator"})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let operator = text(&made.json()["token"]);
        let guarded = Self { server, operator };
        for tenant in ["shop", "bank"] {
            let path = format!("/v1/tenants/{tenant}");
            let set = guarded.ask(&guarded.operator, "PUT", &path, "{}").await;
            assert_eq!(set.status, 200, "{set:?}");
        }
        guarded
    }

    async fn token(&self, tenant: &str, role: Role) -> String {
        let new = match role {
            Role::Operator => json!({"role": role}),
            _ => json!({"role": role, "tenant": tenant}),
        };
        let made = post(&self.server, &bearer(&self.operator), "/v1/tokens", &new).await;
        assert_eq!(made.status, 201, "{made:?}");
        text(&made.json()["token"])
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        self.server.send(method, path, &bearer(token), body).await
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

async fn post(server: &Running, headers: &str, path: &str, body: &Value) -> Answer {
    server.send("POST", path, headers, &body.to_string()).await
}

/// Every operation that the API describes, with something in the place of its parameters.
fn operations() -> Vec<(String, String)> {
    let api: Value = serde_json::from_str(&eddy_server::openapi_json()).expect("it is JSON");
    let paths = api["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("an item").keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    // What apps answer is described by nobody.
    let apps = ["GET", "POST", "DELETE"]
        .map(|method| (method.to_owned(), "/apps/{app}/{path}".to_owned()));
    operations.chain(apps).collect()
}

fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "x",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn each_operation_is_for_those_who_may() {
    let node = Guarded::start().await;
    let mut tokens = BTreeMap::new();
    for role in Role::ALL {
        tokens.insert(role, node.token("shop", role).await);
    }
    let mut table = Vec::new();
    for (method, path) in operations() {
        let filled = filled(&path);
        let nobody = node.server.send(&method, &filled, "", "").await;
        let stranger = node.ask("eddy_0011_x", &method, &filled, "").await;
        let mut may = Vec::new();
        for (role, token) in &tokens {
            let answer = node.ask(token, &method, &filled, "").await;
            assert_ne!(answer.status, 401, "{role} {method} {path}: {answer:?}");
            match answer.status {
                403 => assert_eq!(answer.code(), "permission-denied"),
                _ => may.push(role.as_str()),
            }
        }
        let open = nobody.status != 401;
        assert_eq!(open, stranger.status != 401, "{method} {path}");
        let who = if open {
            "everybody".to_owned()
        } else {
            may.join(" ")
        };
        table.push(format!("{method:<6} {path}: {who}"));
    }
    // Not part of the description.
    for (role, token) in &tokens {
        let answer = node.ask(token, "GET", "/metrics", "").await;
        assert_eq!(answer.status == 200, *role == Role::Operator, "{role}");
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn the_first_token_is_an_operators_and_the_last_one_stays() {
    let server = Running::start().await;
    let refused = post(&server, "", "/v1/tokens", &json!({"role": "admin"})).await;
    assert_eq!(refused.code(), "operator-needed");
    assert_eq!(
        server.send("GET", "/v1/apps", "", "").await.status,
        200,
        "still open"
    );

    let made = post(
        &server,
        "",
        "/v1/tokens",
        &json!({"role": "operator", "name": "me"}),
    )
    .await;
    let (token, id) = (text(&made.json()["token"]), text(&made.json()["id"]));
    assert!(token.contains(&id));
    let closed = server.send("GET", "/v1/apps", "", "").await;
    assert_eq!(closed.code(), "unauthenticated");
    assert!(
        closed.head.contains("www-authenticate: bearer"),
        "{closed:?}"
    );
    let path = format!("/v1/tokens/{id}");
    let kept = server.send("DELETE", &path, &bearer(&token), "").await;
    assert_eq!(kept.code(), "operator-needed");
    let listed = server.send("GET", "/v1/tokens", &bearer(&token), "").await;
    assert_eq!(listed.json()["items"][0]["name"], "me");
    let secret = token.rsplit('_').next().expect("a secret");
    assert!(!listed.body.contains(secret), "{listed:?}");
}

#[tokio::test]
async fn a_tenant_cannot_tell_whether_another_one_exists() {
    let node = Guarded::start().await;
    let admin = node.token("shop", Role::Admin).await;
    let mut answers = Vec::new();
    for tenant in ["bank", "nobody"] {
        let as_other = format!("{}eddy-tenant: {tenant}\r\n", bearer(&admin));
        let acting = node.server.send("GET", "/v1/apps", &as_other, "").await;
        assert_eq!(acting.code(), "permission-denied");
        let shown = node
            .ask(&admin, "GET", &format!("/v1/tenants/{tenant}"), "")
            .await;
        assert_eq!(shown.code(), "unknown-tenant");
        let new = json!({"role": "read", "tenant": tenant}).to_string();
        let made = node.ask(&admin, "POST", "/v1/tokens", &new).await;
        assert_eq!(made.code(), "permission-denied");
        let bodies = [acting.body, shown.body, made.body];
        answers.push(bodies.map(|body| body.replace(tenant, "*")));
    }
    assert_eq!(answers[0], answers[1]);
    let own = node.ask(&admin, "GET", "/v1/tenants", "").await.json();
    let names: Vec<_> = own["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(names, ["shop"]);
    let tokens = node.ask(&admin, "GET", "/v1/tokens", "").await.json();
    let mine = |token: &Value| token["tenant"] == "shop";
    assert!(
        tokens["items"].as_array().expect("items").iter().all(mine),
        "{tokens}"
    );
}

#[tokio::test]
async fn a_link_shows_its_token_and_is_refused_once_that_is_revoked() {
    let node = Guarded::start().await;
    let call = node.token("shop", Role::Call).await;
    let invoke = || {
        let function = "f".to_owned();
        Request::new(Operation::Invoke { function }, Bytes::new())
    };
    let open = async |token: Option<&str>| {
        let config = Config {
            token: token.map(Token::new),
            ..Config::default()
        };
        let (link, linking) = eddy_link::open(node.server.connect().await, &config);
        #[allow(clippy::disallowed_methods, reason = "a test's own task")]
        tokio::spawn(linking);
        link
    };
    for wrong in [None, Some("eddy_0011_x"), Some("")] {
        let refused = open(wrong)
            .await
            .request(invoke())
            .await
            .expect_err("no token");
        assert_eq!(refused.error.code, ErrorCode::Unauthenticated, "{wrong:?}");
        assert_eq!(refused.fate, Fate::NotStarted);
    }
    let link = open(Some(&call)).await;
    let missing = link
        .request(invoke())
        .await
        .expect_err("nothing is deployed");
    assert_eq!(missing.error.code, ErrorCode::UnknownFunction);
    let other = Request {
        tenant: Some("bank".to_owned()),
        ..invoke()
    };
    let other = link.request(other).await.expect_err("another tenant's");
    assert_eq!(other.error.code, ErrorCode::PermissionDenied);
    let delete = Operation::Delete {
        agent_type: "a".to_owned(),
        key: "b".to_owned(),
    };
    let delete = link.request(Request::new(delete, Bytes::new())).await;
    assert_eq!(
        delete.expect_err("not its role").error.code,
        ErrorCode::PermissionDenied
    );

    let id = call.split('_').nth(1).expect("an id");
    let revoked = node
        .ask(&node.operator, "DELETE", &format!("/v1/tokens/{id}"), "")
        .await;
    assert_eq!(revoked.status, 204);
    let refused = link.request(invoke()).await.expect_err("revoked");
    assert_eq!(refused.error.code, ErrorCode::Unauthenticated);
    assert_eq!(refused.fate, Fate::NotStarted);
}

#[tokio::test]
async fn a_tenant_has_its_rate_and_others_do_not_notice() {
    let node = Guarded::start().await;
    let (shop, bank) = (
        node.token("shop", Role::Read).await,
        node.token("bank", Role::Read).await,
    );
    let set = node
        .ask(&node.operator, "PUT", "/v1/tenants/shop", "{\"rate\":1}")
        .await;
    assert_eq!(set.json()["limits"]["rate"], 1);
    assert_eq!(set.json()["limits"]["concurrency"], 1024, "the rest stays");
    let mut refused = 0;
    for _ in 0..5 {
        let answer = node.ask(&shop, "GET", "/v1/apps", "").await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "tenant-limit");
            assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
            refused += 1;
        }
        assert_eq!(node.ask(&bank, "GET", "/v1/apps", "").await.status, 200);
    }
    assert!(refused >= 1);
}

#[tokio::test]
async fn an_expired_token_is_none() {
    let node = Guarded::start().await;
    let new = json!({"role": "read", "tenant": "shop", "expires_in": "1ms"});
    let made = post(&node.server, &bearer(&node.operator), "/v1/tokens", &new).await;
    assert!(made.json()["expires"].is_string());
    tokio::time::sleep(Duration::from_millis(5)).await;
    let answer = node
        .ask(&text(&made.json()["token"]), "GET", "/v1/apps", "")
        .await;
    assert_eq!(answer.code(), "unauthenticated");
}

/// Asks whether a body of 64 MiB may come, and keeps the connection.
async fn asks_for_room(node: &Guarded, token: &str) -> (TcpStream, bool) {
    let head = format!(
        "POST /v1/apps HTTP/1.1\r\nhost: localhost\r\n{}expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        bearer(token),
        64 << 20,
    );
    let mut stream = node.server.connect().await;
    stream
        .write_all(head.as_bytes())
        .await
        .expect("it goes out");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    match &answer {
        b"HTTP/1.1 100" => (stream, true),
        b"HTTP/1.1 503" => (stream, false),
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}

#[tokio::test]
async fn a_tenants_slow_bodies_leave_room_for_anothers() {
    let node = Guarded::start().await;
    let (shop, bank) = (
        node.token("shop", Role::Deploy).await,
        node.token("bank", Role::Deploy).await,
    );
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(asks_for_room(&node, &shop).await);
    }
    let had = slow.iter().filter(|(_, room)| *room).count();
    assert_eq!(had, 2, "a half of it all");
    assert!(asks_for_room(&node, &bank).await.1);
}

#[tokio::test]
async fn a_quiet_log_ends_with_its_token() {
    let node = Guarded::start().await;
    let token = node.token("shop", Role::Read).await;
    let follow = format!(
        "GET /v1/logs?follow=true HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\n",
        bearer(&token)
    );
    let mut stream = node.server.connect().await;
    let sent = stream.write_all(follow.as_bytes()).await;
    sent.expect("it goes out");
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.expect("it begins");
    assert_eq!(&head, b"HTTP/1.1 200");
    let id = token.split('_').nth(1).expect("an id");
    let path = format!("/v1/tokens/{id}");
    let revoked = node.ask(&node.operator, "DELETE", &path, "").await;
    assert_eq!(revoked.status, 204);
    let mut rest = String::new();
    let ended = stream.read_to_string(&mut rest);
    // Long, because it is for who waits for ever.
    let ended = tokio::time::timeout(Duration::from_mins(1), ended).await;
    ended.expect("it ends").expect("in order");
    assert!(
        rest.contains("event: end") && rest.contains("unauthenticated"),
        "{rest}"
    );
}
